"""What may come behind the pooling of a sentence-transformers model: modules from vectors to vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import activation, json_file, module_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .activation import Activation

    Array = np.ndarray[Any, Any]

SHORTEST = np.float32(1e-12)
"""What a length is at least, so that a vector of zeros stays one."""

TANH = "torch.nn.modules.activation.Tanh"
"""The activation of a Dense whose file names none."""

DENSE = {"in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name"}
"""The settings of a Dense that are understood here."""


@dataclass(frozen=True)
class Dense:
    """A linear layer, and what is done with its numbers.

    Attributes:
        weight: FP32 [out, in].
        bias: FP32 [out], or 0.
    """

    weight: Array
    bias: Array | float
    activation: Activation

    @classmethod
    def read(cls, folder: Path) -> Dense | None:
        """The layer of a folder; None where it does more than this one."""
        config = json_file.read(folder / "config.json")
        function = activation.named(config.get("activation_function", TANH))
        names = {config.get(name) for name in ("module_input_name", "module_output_name")}
        unknown = [name for name, value in config.items() if value and name not in DENSE]
        if function is None or unknown or names - {"sentence_embedding", None}:
            return None
        weights = module_weights.read(folder)
        return cls(weights["linear.weight"], weights.get("linear.bias", 0.0), function)

    def __call__(self, vectors: Array) -> Array:
        """FP32 [texts, in] to [texts, out]."""
        return self.activation(vectors @ self.weight.T + self.bias)


@dataclass(frozen=True)
class LayerNorm:
    """Numbers around 0, their spread 1, then scaled and moved.

    Attributes:
        weight: FP32 [size].
        bias: FP32 [size].
    """

    weight: Array
    bias: Array

    @classmethod
    def read(cls, folder: Path) -> LayerNorm:
        """The layer of a folder."""
        weights = module_weights.read(folder)
        return cls(weights["norm.weight"], weights["norm.bias"])

    def __call__(self, vectors: Array) -> Array:
        """FP32 [texts, size] to the same."""
        around = vectors - vectors.mean(axis=1, keepdims=True)
        spread: Array = np.sqrt((around**2).mean(axis=1, keepdims=True) + np.float32(1e-5))
        scaled: Array = around / spread * self.weight + self.bias
        return scaled


class Normalize:
    """Vectors at unit length."""

    @classmethod
    def read(cls, folder: Path) -> Normalize | None:
        """It has nothing to read; None where it is not about the vectors of texts."""
        names = set(json_file.read(folder / "config.json").values())
        return None if names - {"sentence_embedding", None} else cls()

    def __call__(self, vectors: Array) -> Array:
        """FP32 [texts, size] to the same."""
        return unit(vectors)


class Dropout:
    """Something for training alone."""

    @classmethod
    def read(cls, folder: Path) -> Dropout:  # noqa: ARG003 (as the others)
        """It has nothing to read."""
        return cls()

    def __call__(self, vectors: Array) -> Array:
        """The same vectors."""
        return vectors


def unit(vectors: Array) -> Array:
    """Vectors [texts, size] at unit length; one of zeros stays as it is."""
    scaled: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SHORTEST)
    return scaled


VectorModule = Dense | LayerNorm | Normalize | Dropout

READERS: dict[str, Callable[[Path], VectorModule | None]] = {
    "Dense": Dense.read,
    "Dropout": Dropout.read,
    "LayerNorm": LayerNorm.read,
    "Normalize": Normalize.read,
}
"""By the names of sentence-transformers' classes."""

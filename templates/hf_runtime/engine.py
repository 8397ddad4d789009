"""What computes a model: torch, or onnxruntime on a graph that was exported from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from .settings import Settings

    Array = np.ndarray[Any, Any]

GRAPH = "model.onnx"
"""The exported graph, beside model.py; where it is not there, torch computes."""


DESCRIPTION = "onnx.json"
"""What there is to know of a graph's model besides the graph: its configuration, and its tokenizer's."""


class Engine(Protocol):
    """A loaded model that makes arrays of arrays.

    Attributes:
        config: What its config.json says, with the library's defaults.
        inputs: Names of what it takes, as transformers has them.
        positions: The most tokens, or patches, that it has places for.
    """

    config: Any
    inputs: frozenset[str]
    positions: int

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One forward pass of a batch.

        Args:
            inputs: By name; what the model does not take is left out.

        Returns:
            By transformers' names; numbers with a fraction as FP32.
        """


def load(settings: Settings, auto_class: str, *, headless: bool = False) -> Engine:
    """The model of a folder: its graph where there is one, else its weights.

    Args:
        settings: Where from, onto which device, in which dtype.
        auto_class: The class of transformers that loads the weights, such as AutoModelForSequenceClassification.
        headless: Whether that class has no head: parts that are missing then are not asked for.

    Raises:
        ValueError: The files hold no trained head of this class.
    """
    if (settings.version_dir / GRAPH).is_file():
        from .onnx_engine import OnnxEngine

        return OnnxEngine(settings)
    from .torch_engine import TorchEngine

    return TorchEngine(settings, auto_class, headless=headless)

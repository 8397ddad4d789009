"""One vector for a text out of those of its tokens, as the module Pooling of sentence-transformers makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import json_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Array = np.ndarray[Any, Any]

SMALLEST = np.float32(1e-9)
"""What a sum of weights is at least, so that a text of which nothing counts has zeros."""

OLD_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The keys that older files have for each mode, in the order of the vectors of several."""


@dataclass(frozen=True)
class Pooling:
    """How tokens become one vector.

    Attributes:
        modes: Each gives a vector of its own; they stand one behind the other.
        size: Numbers in the vector of a token; None where the model's configuration tells.
        include_prompt: Whether the tokens of a prompt count.
    """

    modes: tuple[str, ...]
    size: int | None = None
    include_prompt: bool = True

    @classmethod
    def read(cls, folder: Path) -> Pooling | None:
        """What a module's folder says, in the old form or the new one; None where it names an unknown mode."""
        config = json_file.read(folder / "config.json")
        modes = config.get("pooling_mode") or [mode for name, mode in OLD_NAMES.items() if config.get(name)] or "mean"
        size = config.get("embedding_dimension") or config.get("word_embedding_dimension")
        found = cls((modes,) if isinstance(modes, str) else tuple(modes), size, config.get("include_prompt", True))
        return found if all(mode in MODES for mode in found.modes) else None

    def __call__(self, states: Array, mask: Array) -> Array:
        """Pools a batch.

        Args:
            states: FP32 [texts, tokens, size].
            mask: FP32 [texts, tokens]: 1 for a token that counts, else 0.

        Returns:
            FP32 [texts, modes x size].
        """
        return np.concatenate([MODES[mode](states, mask) for mode in self.modes], axis=1)


def _sum(states: Array, weights: Array) -> Array:
    # No product of matrices: numpy's library would take more threads for it, which go on waiting in a loop afterwards.
    total: Array = np.einsum("nt,nth->nh", weights, states)
    return total


def _mean(states: Array, weights: Array) -> Array:
    mean: Array = _sum(states, weights) / np.maximum(weights.sum(axis=1, keepdims=True), SMALLEST)
    return mean


def _mean_by_root(states: Array, mask: Array) -> Array:
    root: Array = np.sqrt(np.maximum(mask.sum(axis=1, keepdims=True), SMALLEST))
    return _sum(states, mask) / root


def _weighted_mean(states: Array, mask: Array) -> Array:
    return _mean(states, mask * np.arange(1, mask.shape[1] + 1, dtype=mask.dtype))


def _first(states: Array, mask: Array) -> Array:
    found: Array = states[np.arange(len(states)), mask.argmax(axis=1)]
    return found


def _last(states: Array, mask: Array) -> Array:
    places = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    found: Array = states[np.arange(len(states)), places] * mask.any(axis=1, keepdims=True)
    return found


def _max(states: Array, mask: Array) -> Array:
    highest: Array = np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1)
    return highest


MODES: dict[str, Callable[[Array, Array], Array]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}

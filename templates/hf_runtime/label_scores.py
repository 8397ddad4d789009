"""The scores that a classifier's logits are, and the labels with the best of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .activation import sigmoid
from .ranked import limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, Any]

__all__ = ["Function", "best", "function_of", "scores", "sigmoid", "softmax"]

Function = Literal["sigmoid", "softmax", "none"]


def function_of(config: Any) -> Function:
    """What makes scores of the logits of a model with this configuration."""
    if config.problem_type == "regression":
        return "none"
    return "sigmoid" if config.problem_type == "multi_label_classification" or config.num_labels == 1 else "softmax"


def scores(logits: Array, function: Function) -> Array:
    """Logits [rows, labels] as scores."""
    if function == "none":
        return logits
    return sigmoid(logits) if function == "sigmoid" else softmax(logits)


def best(labels: Sequence[str], scored: Array, top_k: int | None = None) -> dict[str, Any]:
    """The labels of one row with their scores, FP32 [labels], the best first; of equal ones the first.

    Raises:
        InvalidInput: `top_k` is less than 1.
    """
    order = np.argsort(-scored, kind="stable")[: limit(top_k, len(scored))]
    return {"label": [labels[index] for index in order], "score": scored[order]}


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total: Array = powers / powers.sum(axis=-1, keepdims=True)
    return total

"""Activations on arrays, by the names that torch's have in the files of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Activation = Callable[[Array], Array]


def identity(numbers: Array) -> Array:
    """The same numbers."""
    return numbers


def sigmoid(numbers: Array) -> Array:
    """Exact also far below zero, where the scores of texts that do not fit lie, and are still to be told apart."""
    powers: Array = np.exp(-np.logaddexp(0, -numbers))
    return powers


def _relu(numbers: Array) -> Array:
    return np.maximum(numbers, 0)


def _silu(numbers: Array) -> Array:
    return numbers * sigmoid(numbers)


ACTIVATIONS: dict[str, Activation] = {
    "Identity": identity,
    "ReLU": _relu,
    "Sigmoid": sigmoid,
    "SiLU": _silu,
    "Tanh": np.tanh,
}


def named(path: str) -> Activation | None:
    """The activation of a class, such as `torch.nn.modules.activation.Tanh`; None where it is not among these."""
    package, _, name = path.rpartition(".")
    return ACTIVATIONS.get(name) if package == "torch.nn" or package.startswith("torch.nn.modules.") else None

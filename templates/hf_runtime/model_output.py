"""What a model gave for an image, in the form that transformers' image processors read it in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array = np.ndarray[Any, Any]


class ModelOutput(SimpleNamespace):
    """Tensors on the CPU as attributes, by the names of transformers."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        """Takes arrays by these names; they are not copied."""
        super().__init__(**{name: torch.from_numpy(array) for name, array in arrays.items()})

"""The likeliest class of each pixel, out of a model's coarse scores; never all classes for all pixels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

NUMBERS_AT_ONCE = 32_000_000
"""Scores that are enlarged together; for 150 classes and a photograph of 12 megapixels all of them would be 7 GB."""


def classes(scores: torch.Tensor, size: tuple[int, int]) -> Array:
    """The class of each pixel: INT16 [height, width].

    The scores are enlarged as transformers does it, some classes at a time. Of equal scores the first class wins.

    Args:
        scores: FP32 [classes, rows, columns].
        size: The height and width to enlarge to.
    """
    together = max(1, NUMBERS_AT_ONCE // (size[0] * size[1]))
    best = torch.full(size, -torch.inf)
    chosen = torch.zeros(size, dtype=torch.int16)
    for part in torch.split(_contenders(scores), together):
        enlarged = functional.interpolate(scores[None, part], size, mode="bilinear", align_corners=False)[0]
        found, index = enlarged.max(dim=0)
        better = found > best
        best = torch.where(better, found, best)
        chosen = torch.where(better, part[index].to(torch.int16), chosen)
    return chosen.numpy()


def _contenders(scores: torch.Tensor) -> torch.Tensor:
    """The classes that can be the likeliest of some pixel, in their order; of the 150 that a model knows often a few.

    An enlarged score lies between those of the four places around it. A class can be the likeliest there only if the
    highest of its four is not below the lowest four of any other.
    """
    around = functional.pad(scores[None], (0, 1, 0, 1), mode="replicate")
    highest, lowest = functional.max_pool2d(around, 2, 1)[0], -functional.max_pool2d(-around, 2, 1)[0]
    return (highest >= lowest.amax(dim=0)).flatten(1).any(dim=1).nonzero()[:, 0]


def likelihoods(probabilities: torch.Tensor, chosen: Array) -> dict[int, float]:
    """How sure a model is of each class that was chosen: the mean of its probability over the pixels that are of it.

    The probabilities are read at the model's own, coarser resolution.

    Args:
        probabilities: FP32 [classes, rows, columns].
        chosen: What `classes` gave.
    """
    height, width = chosen.shape
    rows, columns = nearest((height, width), (probabilities.shape[1], probabilities.shape[2]))
    of_pixel = probabilities.numpy()[chosen, rows, columns]
    sums = np.bincount(chosen.ravel(), weights=of_pixel.ravel())
    counts = np.bincount(chosen.ravel())
    return {int(index): float(sums[index] / counts[index]) for index in np.flatnonzero(counts)}


def nearest(size: tuple[int, int], coarse: tuple[int, int]) -> tuple[Array, Array]:
    """Indices that enlarge an array of height and width `coarse` to `size`, each pixel repeated."""
    (height, width), (rows, columns) = size, coarse
    return (np.arange(height) * rows // height)[:, None], np.arange(width) * columns // width

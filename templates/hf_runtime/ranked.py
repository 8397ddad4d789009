"""The best of what has scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from .error import InvalidInput

Array = np.ndarray[Any, Any]


def limit(top_k: int | None, count: int) -> int:
    """How many of `count` things a request wants; all of them where `top_k` is not given.

    Raises:
        InvalidInput: Fewer than one.
    """
    if top_k is None:
        return count
    if top_k < 1:
        raise InvalidInput(f"parameter 'top_k' must be at least 1, not {top_k}; leave it out for all")
    return min(top_k, count)


def best(scores: Array, count: int) -> Array:
    """The places of the highest scores, INT64 [count]: the highest first, of equal ones the first.

    Args:
        scores: Of shape [n].
        count: From 1 to n.
    """
    least = np.partition(scores, -count)[-count]
    chosen = np.flatnonzero(~(scores < least))  # more than `count` where several are equal to the last of them
    return chosen[np.argsort(-scores[chosen], kind="stable")][:count]

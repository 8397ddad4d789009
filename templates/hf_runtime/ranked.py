"""The best of what has scores."""

from __future__ import annotations

from .error import InvalidInput


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

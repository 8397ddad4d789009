"""Requests begin a few at a time, so that hundreds that come at once keep nobody else waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 8
"""Requests that begin in one turn of the event loop. Reading one takes half a millisecond, of which nothing can be done
in between: neither the health be told, nor an answer be passed on."""


class Turns:
    """Whose turn it is to begin, in the order in which they came. Use it in one event loop."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Begins with nobody waiting.

        Args:
            at_once: How many may begin in one turn of the event loop.
        """
        self._at_once = at_once
        self._begun = 0  # in this turn
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def waiting(self) -> int:
        """How many have not begun yet."""
        return len(self._waiting)

    def now(self) -> bool:
        """Takes a turn, if it is one's turn at once: it is, unless many have come at the same time."""
        if self._begun >= self._at_once or self._waiting:
            return False
        self._begin()
        return True

    def later(self, begin: Callable[[], None]) -> None:
        """Calls this when it is its turn."""
        self._waiting.append(begin)

    def _begin(self) -> None:
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            self._begin()
            self._waiting.popleft()()

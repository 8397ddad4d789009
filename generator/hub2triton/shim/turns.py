"""Requests begin a few at a time, so that hundreds that come at once keep nobody else waiting."""

from __future__ import annotations

import asyncio
from collections import deque

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
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Returns when it is one's turn: at once, unless many have come at the same time."""
        if self._begun < self._at_once and not self._waiting:
            self._begin()
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        await mine

    def _begin(self) -> None:
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            mine = self._waiting.popleft()
            if not mine.done():  # the caller has gone
                mine.set_result(None)
                self._begin()

"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import asyncio
import time
from collections import deque

_FIRST = 1.0  # seconds before the second attempt; the first is made at once
_LONGEST = 30.0
STABLE = 5.0
"""Seconds of service after which a death counts as the first again: no crash at the start, then."""


class Backoff:
    """Waiting times between attempts: none, then doubling up to a cap, and none again after a stable time."""

    def __init__(self) -> None:
        self._attempts = 0
        self._started = time.monotonic()

    @property
    def attempts(self) -> int:
        """Those since the last stable time."""
        return self._attempts

    @property
    def delay(self) -> float:
        """Seconds to wait before the next attempt."""
        return 0.0 if self._attempts == 0 else min(_LONGEST, _FIRST * 2.0 ** min(self._attempts - 1, 10))

    async def wait(self) -> None:
        """Waits for the next attempt, which counts from now on."""
        delay = self.delay
        self._attempts += 1
        if delay:
            await asyncio.sleep(delay)

    def started(self) -> None:
        """The attempt has succeeded."""
        self._started = time.monotonic()

    def died(self) -> None:
        """What had started is dead; the delays start anew if it lived long enough."""
        if time.monotonic() - self._started >= STABLE:
            self._attempts = 0


class Allowance:
    """How often something may be tried again within a time."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._spent: deque[float] = deque()

    def spend(self) -> bool:
        """Whether one more time is allowed, which then is spent."""
        now = time.monotonic()
        while self._spent and now - self._spent[0] >= self._seconds:
            self._spent.popleft()
        if len(self._spent) >= self._count:
            return False
        self._spent.append(now)
        return True

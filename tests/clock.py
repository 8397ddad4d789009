"""Time that passes only by being waited for: what takes so many seconds takes exactly these, on the busiest machine."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LOOK_S = 1e-6
"""What it takes to look at the clock: no two looks see the same time."""


class Clock(selectors.DefaultSelector):
    """What an event loop waits with: the clock is put on instead.

    Attributes:
        seconds: Since the beginning.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def now(self) -> float:
        """The time of the event loop."""
        self.seconds += LOOK_S
        return self.seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is there to be read or written; the time is over without any wait."""
        self.seconds += timeout or 0.0
        return super().select(timeout if timeout is None else 0)


def loop() -> asyncio.AbstractEventLoop:
    """An event loop of such a time."""
    clock = Clock()
    made = asyncio.SelectorEventLoop(clock)
    made.time = clock.now  # type: ignore[method-assign]
    return made


def now() -> float:
    """In the place of time.monotonic."""
    return asyncio.get_running_loop().time()


def timeless(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs in such a time."""

    @functools.wraps(test)
    def run(*given: Any, **more: Any) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(test(*given, **more))

    return run

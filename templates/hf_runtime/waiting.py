"""Whether anybody still waits for what is being computed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAUSE_S = 0.25
"""Seconds between two looks: each costs a message to Triton and back."""


class NobodyWaits(Exception):  # noqa: N818 (it is no error, and reads so at every raise)
    """All who asked for what is being computed have gone away."""


class Waiting:
    """Those who wait for the one execution that a process is at."""

    def __init__(self) -> None:
        """Begins with no execution."""
        self._cancelled: tuple[Callable[[], bool], ...] = ()
        self._looked: float | None = None

    @contextmanager
    def of(self, cancelled: Sequence[Callable[[], bool]]) -> Iterator[None]:
        """While something is computed: says of each request that waits for it whether it was cancelled."""
        self._cancelled, self._looked = tuple(cancelled), None
        try:
            yield
        finally:
            self._cancelled = ()

    def check(self) -> None:
        """For whatever computes step by step, to be called at each.

        Raises:
            NobodyWaits: All of the requests have been cancelled. One that goes on keeps the others in its batch.
        """
        now = time.monotonic()
        if self._looked is None:
            self._looked = now
        if not self._cancelled or now - self._looked < PAUSE_S:
            return
        if all(cancelled() for cancelled in self._cancelled):
            raise NobodyWaits
        self._looked = now


WAITING = Waiting()
"""Of this process."""

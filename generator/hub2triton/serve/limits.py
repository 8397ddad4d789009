"""What a model's processes may do before they are replaced, and which of them do more."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub2triton.serve.stall import Look, Stall
from hub2triton.serve.stub import Life

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hub2triton.serve.stub import Stub

# Seconds between two replacements of a model that grows, however fast it does: each load costs the others CPU time.
_PAUSE = 30.0
# How often processes just loaded are looked at until they are seen waiting, and the seconds between two of these looks.
_LOOKS, _LOOK = 200, 0.005
_UNREADABLE = "/proc/PID/syscall of models cannot be read here"
_UNJUDGED = "no process was seen waiting for a request, as Triton's do between two"


@dataclass(frozen=True)
class Limits:
    """What one process of a model may do, and how often others take its place.

    Attributes:
        execution: Seconds that one execution may last; 0 for as long as it takes.
        memory: MiB of its own that it may hold; 0 for any amount.
        restarts: How often in a row its model is loaded again without a stable time between.
    """

    execution: float = 0.0
    memory: int = 0
    restarts: int = 10


class Excess:
    """Finds the processes of one model that go beyond its limits.

    Attributes:
        blind: Why none of the processes can be found to hang; empty where they can.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.blind = ""
        self._stall = Stall(limits.execution)
        # Processes whose memory is not held against them: already replaced, or too large from the start.
        self._exempt: set[int] = set()
        self._hung: set[int] = set()
        self._replaced = float("-inf")

    def forget(self) -> None:
        """The processes are gone, and their ids may come again."""
        self._stall.forget()
        self._exempt.clear()
        self._hung.clear()

    async def loaded(self, stubs: Sequence[Stub]) -> None:
        """Looks at processes just loaded until they wait for their first request.

        It takes a few milliseconds, and cannot be put off: with the first request they may be busy ever after, and what
        was never seen waiting is never found to hang.
        """
        for _ in range(_LOOKS if self.limits.execution else 0):
            if self._all_wait(stubs):
                return
            await asyncio.sleep(_LOOK)

    async def hung(self, stubs: Sequence[Stub], executions: Callable[[], Awaitable[int]]) -> list[Stub]:
        """The processes that have been at one execution for too long.

        Args:
            stubs: Those of the model.
            executions: Asks Triton how many executions of the model have ended; called only while one goes on.
        """
        if not self.limits.execution:
            return []
        waits = [(stub, stub.waits()) for stub in stubs if stub.life() is Life.ALIVE]
        count = 0 if all(waiting for _, waiting in waits) else await executions()
        now = time.monotonic()
        found = []
        for stub, waiting in waits:
            if waiting is None and stub.life() is Life.ALIVE:
                self.blind = _UNREADABLE
            if self._stall.seen(stub.pid, Look(waiting, count, stub.pauses()), now):
                found.append(stub)
        if self.blind != _UNREADABLE:
            self.blind = _UNJUDGED if self._stall.unjudged else ""
        self._hung |= {stub.pid for stub in found}
        return found

    def hanged(self, dead: Stub) -> bool:
        """Whether a process that has ended was found to hang before, which is told once."""
        found = dead.pid in self._hung
        self._hung.clear()
        return found

    def grown(self, stubs: Sequence[Stub]) -> Stub | None:
        """A process that holds more memory than it may; None for some time after a replacement."""
        if not self.limits.memory or time.monotonic() - self._replaced < _PAUSE:
            return None
        return next((stub for stub in stubs if self._too_large(stub)), None)

    def replaced(self, stubs: Sequence[Stub]) -> None:
        """Others have taken the place of these processes, which end when they have answered what they began."""
        self._exempt |= {stub.pid for stub in stubs}
        self._replaced = time.monotonic()

    def large_from_the_start(self, stubs: Sequence[Stub]) -> Stub | None:
        """A process just loaded that is too large already, and is left alone: another would be no smaller."""
        large = [stub for stub in stubs if self.limits.memory and self._too_large(stub)]
        self._exempt |= {stub.pid for stub in large}
        return large[0] if large else None

    def _all_wait(self, stubs: Sequence[Stub]) -> bool:
        """Takes note of the processes that wait; says whether each does, or cannot be seen to."""
        waits = {stub: stub.waits() for stub in stubs}
        for stub, waiting in waits.items():
            if waiting:
                self._stall.seen(stub.pid, Look(waiting, 0, stub.pauses()), time.monotonic())
        return False not in waits.values()

    def _too_large(self, stub: Stub) -> bool:
        return stub.pid not in self._exempt and stub.memory() > self.limits.memory

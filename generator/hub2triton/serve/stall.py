"""Which model processes have been at one and the same execution for longer than they may.

A canary would have to be a request that every model answers, in the queue with everybody's, and would tell a model that
hangs from one that is busy only by its patience. Triton's statistics tell when an execution ends, but not that one has
begun. So the processes themselves are looked at: one that is never seen waiting for a request, while its model's count
of executions stands still, is at one execution. Where a model has several processes, that count moves by the others;
then it counts that the process's main thread never went to sleep, as it does between executions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """What is seen of a process at one moment.

    Attributes:
        waits: Whether it waits for a request; None where that cannot be known.
        executions: Those of its model that have ended, by all of its processes.
        pauses: How often its main thread has gone to sleep.
    """

    waits: bool | None
    executions: int
    pauses: int


@dataclass(frozen=True)
class _Busy:
    since: float
    look: Look


class Stall:
    """Finds the processes that do not come to the end of an execution.

    Attributes:
        unjudged: Whether none was ever seen waiting, one of them for as long as an execution may last.
    """

    def __init__(self, limit: float) -> None:
        """Allows an execution to last so many seconds; 0 for as long as it takes."""
        self._limit = limit
        self.unjudged = False
        self._trusted = False
        self._unseen: dict[int, float] = {}
        self._busy: dict[int, _Busy] = {}

    def forget(self) -> None:
        """The processes seen so far are gone, and their ids may come again."""
        self._busy.clear()
        self._unseen.clear()

    def seen(self, pid: int, look: Look, now: float) -> bool:
        """Takes a look at a process into account; says whether it has been at one execution for too long.

        None is judged before one was seen waiting: with a Triton whose processes wait in another way, none ever is.
        """
        if not self._limit or look.waits is None:
            return False
        if look.waits:
            self._trusted, self.unjudged = True, False
            self._busy.pop(pid, None)
            return False
        if not self._trusted:
            self.unjudged = self.unjudged or now - self._unseen.setdefault(pid, now) >= self._limit
            return False
        first = self._busy.setdefault(pid, _Busy(now, look))
        if look.executions != first.look.executions and look.pauses != first.look.pauses:
            first = self._busy[pid] = _Busy(now, look)
        return now - first.since >= self._limit

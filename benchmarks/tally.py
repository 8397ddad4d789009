"""What callers of an echo were answered: rightly, with a refusal, wrongly, or not at all."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.callers import LOST, Outcome, Request
from benchmarks.serving import PATIENCE_S

REFUSALS = (429, 503)
KEPT = 5
"""Wrong answers that are kept in full."""


@dataclass
class Tally:
    """Of one fault.

    Attributes:
        prefix: What the echo's inputs begin with; for some models it says what to do.
        requests: All that have ended.
        right: How many of them were answered with what they held.
        refused: By status, how many were refused with a reason and a time after which to come again.
        lost: When each was sent that got no answer.
        wrong: How many were answered in any other way.
        examples: Some of these.
        longest: Seconds that the slowest answer took.
    """

    prefix: str = "echo"
    requests: int = 0
    right: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lost: list[float] = field(default_factory=list)
    wrong: int = 0
    examples: list[str] = field(default_factory=list)
    longest: float = 0.0
    _fault: float = math.inf
    _recovered: float | None = None

    def ask(self, caller: int, turn: int) -> Request:
        """A request that no other is like."""
        return echo(f"{self.prefix} {caller} {turn}")

    def seen(self, outcome: Outcome) -> float | None:
        """Takes note of an outcome; whoever is refused waits a moment, but not for as long as it is told."""
        self.requests += 1
        self.longest = max(self.longest, outcome.seconds)
        if outcome.status == LOST:
            self.lost.append(outcome.sent)
            return None
        told = _read(outcome.body)
        if outcome.status == 200 and told == json.loads(outcome.request.body):
            self.right += 1
            if outcome.sent > self._fault and self._recovered is None:
                self._recovered = outcome.ended
            return None
        reason = told.get("error") if isinstance(told, dict) else None
        if outcome.status in REFUSALS and b"\r\nretry-after:" in outcome.headers and reason:
            self.refused[outcome.status] += 1
            return 0.01
        self.wrong += 1
        if len(self.examples) < KEPT:
            self.examples.append(f"{outcome.request.body[:200]!r}: {outcome.status} {outcome.body[:300]!r}")
        return None

    def fault(self) -> None:
        """Something has just broken: the recovery is counted from now on."""
        self._fault, self._recovered = time.monotonic(), None

    async def recovery(self) -> float:
        """Waits for the first right answer to what was sent after the fault; gives the seconds from there to it."""
        while self._recovered is None:
            if time.monotonic() - self._fault > PATIENCE_S:
                raise TimeoutError(f"nothing is answered rightly since {PATIENCE_S:.0f} s")
            await asyncio.sleep(0.005)
        return self._recovered - self._fault


def _read(body: bytes) -> Any:
    """What an answer holds; None where it is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def echo(inputs: str) -> Request:
    """A request to the only model that is served."""
    return Request("/", json.dumps({"inputs": inputs}).encode())

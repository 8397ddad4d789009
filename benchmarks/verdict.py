"""What must hold of a server after a long time at saturation, and whether it does."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.watch import Sample, slope

if TYPE_CHECKING:
    from collections.abc import Sequence

GROWTH = 0.02
"""The part of the memory by which it may be larger in the end, and still be called flat."""

SLOWER = 1.25
"""How much larger p99 may be in the last third than in the first."""


def windowed(times: Sequence[tuple[float, float]], every_s: float, whole_s: float) -> list[dict[str, float]]:
    """Answers in a second, and quantiles of their times in milliseconds, for each window.

    Args:
        times: When each answer came, from the beginning, and how long it took, in seconds.
        every_s: The length of a window.
        whole_s: The length of them all.
    """
    found: list[list[float]] = [[] for _ in range(max(1, int(whole_s / every_s)))]
    for at, seconds in times:
        if at < len(found) * every_s:
            found[int(at / every_s)].append(seconds * 1000)
    return [
        {
            "at": place * every_s,
            "rate": len(each) / every_s,
            "p50_ms": statistics.median(each) if each else 0.0,
            "p99_ms": quantile(each, 0.99),
        }
        for place, each in enumerate(found)
    ]


def quantile(found: Sequence[float], part: float) -> float:
    """The value that this part of them is below; 0 of nothing."""
    return sorted(found)[min(len(found) - 1, int(len(found) * part))] if found else 0.0


@dataclass(frozen=True)
class Verdict:
    """Something that must hold, and what was found."""

    text: str
    found: str
    holds: bool


def verdicts(found: dict[str, Any]) -> list[Verdict]:
    """What must hold of a run, after it has warmed up."""
    samples = [Sample(**each) for each in found["samples"] if each["at"] >= found["warm_up_s"]]
    windows = [each for each in found["windows"] if each["at"] >= found["warm_up_s"] and each["rate"]]
    third, part = max(1, len(samples) // 3), max(1, len(windows) // 3)
    first, last = samples[:third], samples[-third:]

    def medians(name: str) -> tuple[float, float]:
        return (
            statistics.median(getattr(each, name) for each in first),
            statistics.median(getattr(each, name) for each in last),
        )

    before, after = medians("memory_mib")
    p99 = [statistics.median(each["p99_ms"] for each in some) for some in (windows[:part], windows[-part:])]
    rate = [statistics.median(each["rate"] for each in some) for some in (windows[:part], windows[-part:])]
    told = f"{before:.0f} → {after:.0f} MiB ({after - before:+.1f}), {slope(samples):+.1f} MiB/h"
    same = [
        (text, *medians(name))
        for text, name in (
            ("open descriptors", "descriptors"),
            ("threads", "threads"),
            ("MiB in /dev/shm", "shared_mib"),
        )
    ]
    return [
        Verdict(f"memory (PSS) grows by less than {GROWTH:.0%}", told, after - before < GROWTH * before),
        *(Verdict(f"no more {text}", f"{old:.0f} → {new:.0f}", new <= old) for text, old, new in same),
        Verdict(f"p99 at most {SLOWER:g} times", f"{p99[0]:.0f} → {p99[1]:.0f} ms", p99[1] <= SLOWER * p99[0]),
        Verdict("as many answers", f"{rate[0]:.0f} → {rate[1]:.0f} a second", rate[1] >= rate[0] / SLOWER),
        Verdict(
            f"every answer a 200, and each {found['compared_every']}th, which is compared, right",
            f"{len(found['wrong'])} were not",
            not found["wrong"],
        ),
    ]

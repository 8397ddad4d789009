"""Many more callers than a model's queue holds: only 200 and 429, and the health is told in time.

`python -m benchmarks.overload`: all-MiniLM-L6-v2 on ONNX, asked by 32 callers, then by 512, then by 32 again. Writes
benchmarks/results/overload.*.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks import record, report
from benchmarks.build import model_folder
from benchmarks.callers import Outcome, Request, calling
from benchmarks.server import ROOT
from benchmarks.serving import generate, serving, set_parameter
from benchmarks.verdict import quantile
from benchmarks.watch import take
from benchmarks.words import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.serving import Serving

MODEL = "minilm"
HEALTH_MS = 100.0
"""What each question for the health must be answered in."""


@dataclass(frozen=True)
class Phase:
    """A time with so many callers.

    Attributes:
        title: In the table.
        callers: How many there are.
        seconds: How long.
        obedient: Whether those that are refused wait for as long as Retry-After says, or ask again at once.
    """

    title: str
    callers: int
    seconds: float
    obedient: bool = True


@dataclass(frozen=True)
class Found:
    """What came of a phase.

    Attributes:
        statuses: How often each came; 0 where there was no answer.
        rate: Answers of 200 in a second.
        p99_ms: Of these.
        health: How often each status came.
        health_ms: The times of the answers to the questions for the health.
        memory_mib: PSS of all processes in the end.
        descriptors: Open ones in the end.
        threads: In the end.
    """

    phase: Phase
    statuses: dict[int, int]
    rate: float
    p99_ms: float
    health: dict[str, int]
    health_ms: list[float]
    memory_mib: float
    descriptors: int
    threads: int


async def ask(served: Serving, phase: Phase, requests: Sequence[Request]) -> Found:
    """One phase."""
    statuses: Counter[int] = Counter()
    times: list[float] = []

    def seen(outcome: Outcome) -> float | None:
        statuses[outcome.status] += 1
        if outcome.status == 200:
            times.append(outcome.seconds * 1000)
        if outcome.status == 429 and phase.obedient:
            return float(outcome.headers.partition(b"retry-after:")[2].partition(b"\r\n")[0])
        return None

    command = [sys.executable, "-m", "benchmarks.probe", str(served.port), str(phase.seconds)]
    # A session of its own, since Linux shares the cores out by sessions: it is not one more of these callers.
    probe = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    began = time.monotonic()
    async with calling(served.port, phase.callers, lambda one, turn: requests[(one + turn) % len(requests)], seen):
        await asyncio.sleep(phase.seconds)
        took = time.monotonic() - began
        answered = len(times)
    told, _ = await probe.communicate()
    health = json.loads(told)
    await asyncio.sleep(1)
    sample = take(served)
    return Found(
        phase,
        dict(statuses),
        answered / took,
        quantile(times, 0.99),
        health["statuses"],
        health["times_ms"],
        sample.memory_mib,
        sample.descriptors,
        sample.threads,
    )


async def measure(callers: int, seconds: float, queue: int) -> list[Found]:
    """All phases, on one server."""
    requests = [Request("/", json.dumps({"inputs": text}).encode()) for text in sentences()]
    short = min(15.0, seconds)
    phases = [
        Phase("before", 32, short),
        Phase("overload, they wait as Retry-After says", callers, seconds),
        Phase("overload, they ask again at once", callers, seconds, obedient=False),
        Phase("afterwards", 32, short),
    ]
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        model = generate(model_folder(), "sentence-embeddings", MODEL, repository, "--onnx")
        set_parameter(model, "max_queue_size", str(queue))
        async with serving(repository) as served:
            await ask(served, Phase("warm-up", 32, 3), requests)
            return [await ask(served, phase, requests) for phase in phases]


def faults(found: Sequence[Found]) -> list[str]:
    """What should not have been, in words."""
    wrong = []
    for each in found:
        title = each.phase.title
        if each.statuses.keys() - {200, 429}:
            wrong.append(f"{title}: statuses other than 200 and 429: {each.statuses}")
        if each.health.keys() != {"200"}:
            wrong.append(f"{title}: the health was told as {each.health}")
        if (slowest := max(each.health_ms, default=0.0)) >= HEALTH_MS:
            wrong.append(f"{title}: the health took {slowest:.0f} ms once, not under {HEALTH_MS:.0f}")
    if found[-1].descriptors > found[0].descriptors:
        wrong.append(f"{found[-1].descriptors} descriptors are open afterwards, {found[0].descriptors} were before")
    return wrong


def markdown(found: Sequence[Found], queue: int) -> str:
    """The table."""
    heads = ["phase", "callers", "200", "429", "other", "200 in a second", "p99 (ms)"]
    heads += ["health p50 (ms)", "p99", "max", "memory (MiB)", "descriptors"]
    rows = []
    for each in found:
        other = sum(each.statuses.values()) - each.statuses.get(200, 0) - each.statuses.get(429, 0)
        counts = (each.phase.callers, each.statuses.get(200, 0), each.statuses.get(429, 0), other)
        health = (quantile(each.health_ms, 0.5), quantile(each.health_ms, 0.99), max(each.health_ms, default=0.0))
        figures = (each.rate, each.p99_ms, *health, each.memory_mib)
        rows.append(
            [each.phase.title, *map(str, counts), *(report.number(one) for one in figures), str(each.descriptors)]
        )
    wrong = faults(found)
    end = "Nothing else than 200 and 429; the health was always told in time." if not wrong else "Not as it should be: "
    return f"{record.machine()}; a queue of {queue}.\n\n{report.table(heads, rows)}\n\n{end}{'; '.join(wrong)}"


def main() -> None:
    """Runs it, and says what holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--callers", type=int, default=512, help="in the overload (default 512)")
    parser.add_argument("--seconds", type=float, default=60, help="of the overload, each way (default 60)")
    parser.add_argument("--queue", type=int, default=64, help="what the model's queue holds (default 64)")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where to write them")
    given = parser.parse_args()
    found = uvloop.run(measure(given.callers, given.seconds, given.queue))
    figures = {"queue": given.queue, "phases": [asdict(each) for each in found]}
    record.keep("overload", figures, markdown(found, given.queue), given.results)
    if faults(found):
        sys.exit("Not all of it is as it should be; see above.")


if __name__ == "__main__":
    main()

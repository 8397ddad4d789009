"""A server at saturation for a long time: does anything grow, does anything slow down?

`python -m benchmarks.soak --minutes 20`: all-MiniLM-L6-v2 on ONNX, a text and an image classifier on torch, 32 callers
with short and long texts, lists and images, each asking as soon as it is answered. Writes benchmarks/results/soak.*.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from tests import media, models

from benchmarks import record, report, soak_chart
from benchmarks.build import model_folder
from benchmarks.callers import Connection, Outcome, Request, calling
from benchmarks.serving import generate, serving
from benchmarks.verdict import verdicts, windowed
from benchmarks.watch import Watch
from benchmarks.words import COMMON

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP = 0.25
"""The part of the time that does not count: caches and pools reach their size."""

WARM_UP_S = 300.0
"""It is no longer than this."""

KINDS = 60
"""Different requests; each is also asked alone before, to know its right answer."""

CHECK_EVERY = 20
"""Of so many answers one is compared: each costs the callers time, and they share the cores with the server."""

TOLERANCE = 0.02


@dataclass
class Answers:
    """What callers were answered.

    Attributes:
        requests: What they ask, in turn.
        right: The right answers to these.
        times: When each answer came, and how many seconds it took.
        wrong: What was not right, in words.
    """

    requests: Sequence[Request]
    right: list[Any] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    def ask(self, caller: int, turn: int) -> Request:
        """The next request of a caller."""
        return self.requests[(caller * 7 + turn) % len(self.requests)]

    def seen(self, outcome: Outcome) -> None:
        """Takes note of an answer; each must be a 200, and some are compared with the right one."""
        self.times.append((outcome.ended, outcome.seconds))
        if outcome.status != 200:
            self.wrong.append(f"{outcome.status}: {outcome.body[:200]!r}")
        elif len(self.times) % CHECK_EVERY == 0:
            place = self._places.setdefault(id(outcome.request), self.requests.index(outcome.request))
            if not close(json.loads(outcome.body), self.right[place]):
                self.wrong.append(f"another answer than before: {outcome.body[:200]!r}")


def close(found: Any, right: Any) -> bool:
    """Whether two answers are the same but for rounding: a batch of another size gives other last digits."""
    if isinstance(right, float | int) and isinstance(found, float | int):
        return math.isclose(found, right, abs_tol=TOLERANCE)
    if isinstance(right, list) and isinstance(found, list):
        return len(right) == len(found) and all(map(close, found, right))
    if isinstance(right, dict) and isinstance(found, dict):
        return right.keys() == found.keys() and all(close(found[key], right[key]) for key in right)
    return bool(found == right)


def mixed(seed: int = 0) -> list[Request]:
    """Texts of 3 to 300 words, lists of texts, and images of 64 to 800 pixels."""
    draw = random.Random(seed)  # noqa: S311 (not for secrets)

    def text(most: int) -> str:
        return " ".join(draw.choices(COMMON.split(), k=draw.randint(3, most)))

    found = []
    for turn in range(KINDS):
        kind = turn % 6
        if kind == 5:
            size = draw.randint(64, 800)
            file = media.image_file(media.photo(size, size, turn), "png" if turn % 12 == 5 else "jpeg")
            found.append(Request("/models/images", file, ""))
        elif kind == 4:
            inputs: Any = [text(40) for _ in range(draw.randint(2, 24))]
            found.append(Request("/models/minilm", json.dumps({"inputs": inputs}).encode()))
        else:
            inputs = text(300 if kind == 3 else 40)
            model = "texts" if kind == 2 else "minilm"
            found.append(Request(f"/models/{model}", json.dumps({"inputs": inputs}).encode()))
    return found


def build(folder: Path) -> Path:
    """The repository."""
    repository = folder / "repository"
    generate(model_folder(), "sentence-embeddings", "minilm", repository, "--onnx")
    for name, task in (("texts", "text-classification"), ("images", "image-classification")):
        family = models.FAMILIES[task][0]
        models.builder(family)(folder / family)
        generate(folder / family, task, name, repository)
    return repository


async def measure(minutes: float, callers: int, every_s: float) -> dict[str, Any]:
    """Serves, loads, watches; gives all figures."""
    with tempfile.TemporaryDirectory() as folder:
        repository = await asyncio.to_thread(build, Path(folder))
        async with serving(repository) as served:
            answers = Answers(mixed())
            alone = Connection(served.port)
            for request in answers.requests:
                outcome = await alone.ask(request)
                if outcome.status != 200:
                    raise RuntimeError(f"{request.target} answers {outcome.status}: {outcome.body[:300]!r}")
                answers.right.append(json.loads(outcome.body))
            alone.close()
            began = time.monotonic()
            async with (
                calling(served.port, callers, answers.ask, answers.seen),
                Watch(served, every_s).running() as watch,
            ):
                await asyncio.sleep(minutes * 60)
    windows = windowed([(ended - began, seconds) for ended, seconds in answers.times], every_s, minutes * 60)
    return {
        "about": f"{record.machine()}; {minutes:g} minutes, {callers} callers, {len(answers.times)} requests",
        "samples": [asdict(each) for each in watch.samples],
        "windows": windows,
        "wrong": answers.wrong,
        "compared_every": CHECK_EVERY,
        "warm_up_s": min(WARM_UP_S, minutes * 60 * WARM_UP),
    }


def main() -> None:
    """Runs it, and says what holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--minutes", type=float, default=20, help="how long (default 20)")
    parser.add_argument("--callers", type=int, default=32, help="how many ask at once (default 32)")
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks (default 5)")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where to write them")
    given = parser.parse_args()
    found = uvloop.run(measure(given.minutes, given.callers, given.every))
    held = verdicts(found)
    rows = [[each.text, each.found, "yes" if each.holds else "**no**"] for each in held]
    text = report.table([f"after {found['warm_up_s']:.0f} s, first third → last third", "found", "holds"], rows)
    given.results.mkdir(parents=True, exist_ok=True)
    soak_chart.draw(found, given.results / "soak.svg")
    record.keep("soak", found, f"{found['about']}.\n\n{text}", given.results)
    for wrong in found["wrong"][:5]:
        print(f"    wrong: {wrong}", file=sys.stderr)
    if not all(each.holds for each in held):
        sys.exit("Not all of it holds.")


if __name__ == "__main__":
    main()

"""Thousands of wrong requests to models of all tasks, made up and mutated: no 5xx, no process dies, nobody hangs.

`python -m benchmarks.bad_inputs`; it goes on until so many were refused, for what is changed at random may still be a
valid request. One of which something else comes is written to a file, and `python -m benchmarks.bad_inputs --again
FILE` sends it again; tests/files/bad-inputs keeps such files. Writes benchmarks/results/bad-inputs.*.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvloop
from tests import fuzz, models, mutation

from benchmarks import record, report
from benchmarks.callers import JSON, Connection, Outcome, Request
from benchmarks.serving import STUB, generate, serving
from hub2triton import tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.serving import Serving

ANSWER_S = 60.0
"""What takes longer hangs."""

LOOK_EVERY = 100
"""After so many answers it is looked whether all processes still live."""

MOST_WRONG = 10
"""Wrong answers after which it stops."""

MADE_UP = 0.35
"""The part of the requests that is made up from the OpenAPI document; the others are right ones that were changed."""


class WrongError(Exception):
    """Things that must not be; the text says which."""


@dataclass
class Run:
    """One run.

    Attributes:
        served: Who is asked.
        statuses: How often each status came, by path.
        slowest: Seconds, by path.
        wrong: What should not have been, in words.
    """

    served: Serving
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes = self._processes()
        self.sent = self.refused = 0
        self._processes_died = False

    @property
    def hopeless(self) -> bool:
        """Whether too many answers were wrong, or a process has died."""
        return len(self.wrong) >= MOST_WRONG or self._processes_died

    async def send(self, requests: Iterator[tuple[str, Request]], callers: int) -> None:
        """Sends all, so many at once, or as many as there is hope for."""
        await asyncio.gather(*(self._call(requests) for _ in range(callers)))

    async def _call(self, requests: Iterator[tuple[str, Request]]) -> None:
        connection = Connection(self.served.port, ANSWER_S)
        for path, request in requests:  # one iterator for all callers
            self._look(path, await connection.ask(request))
            if self.hopeless:
                break
        connection.close()

    def _look(self, path: str, outcome: Outcome) -> None:
        self.sent += 1
        self.statuses.setdefault(path, Counter())[outcome.status] += 1
        self.slowest[path] = max(self.slowest.get(path, 0.0), outcome.seconds)
        why = wrong(outcome)
        if not why and outcome.status != HTTPStatus.OK:
            self.refused += 1
        if not why and self.sent % LOOK_EVERY == 0 and self._processes() != self.processes:
            self._processes_died = True
            why = f"a model's process has died within the last {LOOK_EVERY} requests"
        if why:
            self.wrong.append(f"{why}; the request is in {kept(outcome)}")
            print(self.wrong[-1], flush=True)

    def _processes(self) -> set[int]:
        return {process.pid for process in self.served.processes(STUB)}


def wrong(outcome: Outcome) -> str:
    """What is wrong with an answer; empty where nothing is."""
    if not outcome.status:
        return f"no answer within {outcome.seconds:.0f} s"
    if outcome.status >= 500:
        return f"{outcome.status}: {outcome.body[:300]!r}"
    if outcome.status == HTTPStatus.OK:
        return ""
    try:
        told = json.loads(outcome.body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{outcome.status} without a reason: {outcome.body[:300]!r}"
    text = told["message"] if isinstance(told, dict) else told
    return "" if text and "Traceback" not in text else f"{outcome.status} with no sentence: {text[:300]!r}"


def kept(outcome: Outcome, folder: Path = Path()) -> Path:
    """Writes a request to a file, from which it can be sent again."""
    request = outcome.request
    told = {"target": request.target, "type": request.type, "body": base64.b64encode(request.body).decode()}
    path = folder / f"bad-input-{os.getpid()}-{time.monotonic_ns()}.json"
    answered = {"status": outcome.status, "answer": outcome.body[:2000].decode(errors="replace")}
    path.write_text(json.dumps({**told, **answered}, indent=1), encoding="utf-8")
    return path


def read(path: Path) -> Request:
    """A request that `kept` has written."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Request(told["target"], base64.b64decode(told["body"]), told["type"])


def bad_requests(served: Serving, count: int, seed: int) -> Iterator[tuple[str, Request]]:
    """Requests to all routes in turn, each with its route, without end; the made-up ones are a part of so many."""
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}") as client:
        schema = fuzz.read(client.get("/openapi.json").raise_for_status().json())
        own = count // len(fuzz.PATHS) + 1
        found: list[Iterator[tuple[str, Request]]] = []
        for path in fuzz.PATHS:
            made_up = [_packed(each) for each in fuzz.wrong(schema, path, client, int(own * MADE_UP), seed)]
            changed = mutation.requests(path, seed)
            found.append(zip(itertools.repeat(path), itertools.chain(made_up, changed), strict=False))
    for turn in zip(*found, strict=False):
        yield from turn


def _packed(request: httpx.Request) -> Request:
    target = request.url.raw_path.decode()
    return Request(target, request.read(), request.headers.get("content-type", "").encode("ascii", "ignore").decode())


@asynccontextmanager
async def all_tasks() -> AsyncIterator[Serving]:
    """A server with a tiny model of each task, named as the task."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        for name in tasks.names():
            family = models.FAMILIES[name][0]
            models.builder(family)(Path(folder) / family / name)
            generate(Path(folder) / family / name, name, name, repository)
        async with serving(repository) as served:
            yield served


async def measure(count: int, seed: int, callers: int) -> dict[str, Any]:
    """Serves, sends until `count` requests were refused, and looks at what is left."""
    async with all_tasks() as served:
        run = Run(served)
        print(f"{len(run.processes)} processes of models serve; making {count} requests, seed {seed}", flush=True)
        requests = bad_requests(served, count, seed)
        took = 0.0
        while run.refused < count and not run.hopeless:
            made = list(itertools.islice(requests, count - run.refused))  # before the clock runs
            began = time.monotonic()
            await run.send(iter(made), callers)
            took += time.monotonic() - began
        connection = Connection(served.port, ANSWER_S)
        for spec in tasks.SPECS:
            outcome = await connection.ask(Request(f"/models/{spec.name}", spec.example_json().encode(), JSON))
            if outcome.status != HTTPStatus.OK:
                run.wrong.append(f"{spec.name} no longer answers its example: {outcome.status} {outcome.body[:300]!r}")
        connection.close()
        if served.found("died ") or {process.pid for process in served.processes(STUB)} != run.processes:
            run.wrong.append("a model's process has died")
    if run.wrong:
        raise WrongError("\n".join(run.wrong))
    return {
        "sent": run.sent,
        "refused": run.refused,
        "seed": seed,
        "callers": callers,
        "seconds": took,
        "statuses": {path: dict(found) for path, found in run.statuses.items()},
        "slowest": dict(run.slowest),
    }


def markdown(found: dict[str, Any]) -> str:
    """The table, and what it is of."""
    statuses = sorted({status for counts in found["statuses"].values() for status in counts})
    heads = ["route", "sent", *map(str, statuses), "slowest (s)"]
    rows = [
        [
            path,
            str(sum(counts.values())),
            *(str(counts.get(status, 0)) for status in statuses),
            report.number(found["slowest"][path]),
        ]
        for path, counts in sorted(found["statuses"].items())
    ]
    about = (
        f"{record.machine()}; seed {found['seed']}, {found['callers']} callers; {found['sent']} requests in "
        f"{found['seconds']:.0f} s, of which {found['refused']} were refused and {found['sent'] - found['refused']} "
        "were still valid and answered with 200. None was answered with a 5xx, all were answered, no process of a "
        "model died, and in the end each model answered its task's example."
    )
    return f"{about}\n\n{report.table(heads, rows)}"


async def again(path: Path) -> int:
    """Sends one request again; whether its answer is wrong."""
    request = read(path)
    async with all_tasks() as served:
        connection = Connection(served.port, ANSWER_S)
        outcome = await connection.ask(request)
        connection.close()
        print(f"{outcome.status} {outcome.body[:2000]!r}\n{''.join(served.lines[-30:])}")
        return 1 if wrong(outcome) or served.found("died ") else 0


def main() -> None:
    """Sends what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--count", type=int, default=20_000, help="of refused requests (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other requests (default 1)")
    parser.add_argument("--callers", type=int, default=8, help="how many ask at once (default 8)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="send only this one, which went wrong")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where to write them")
    given = parser.parse_args()
    if given.count < 1 or given.callers < 1:
        parser.error("--count and --callers must be at least 1")
    if given.again:
        sys.exit(uvloop.run(again(given.again)))
    try:
        found = uvloop.run(measure(given.count, given.seed, given.callers))
    except WrongError as error:
        sys.exit(str(error))
    record.keep("bad-inputs", found, markdown(found), given.results)


if __name__ == "__main__":
    main()

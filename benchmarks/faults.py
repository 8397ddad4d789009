"""What callers see of processes that die, hang and grow: every answer is held against what was asked.

`python -m benchmarks.faults [FAULT …]`; a handler that echoes is served by `serve-repo`, and on request fails in the
ways that take its process with it. The recovery is the time from the fault to the first right answer to a request sent
after it. Writes benchmarks/results/faults.* and the table of docs/faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from tests.models.custom import faults as faulty_model

from benchmarks import full_disk, record, report
from benchmarks.callers import Connection, calling
from benchmarks.serving import PATIENCE_S, STUB, TRITON, generate, serving, set_parameter, until
from benchmarks.tally import Tally, echo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.serving import Serving

    Act = Callable[["Serving", Tally], Awaitable[list[float]]]
    """Does the faults while callers ask; gives the seconds that each recovery took."""

NAME = "faults"
HANG_S = 3
STABLE_S = 5.2
"""What dies sooner than this after its start is started again with a delay."""

MEMORY_MIB = 400
LARGE = 8 << 20
"""Bytes of a request that does not fit into a shared memory that is nearly full."""

SMALL_SHM = "mount -t tmpfs -o size=256m tmpfs /dev/shm"
QUEUE = 256
"""For all callers: a 429 would only say that there are many of them."""


@dataclass(frozen=True)
class Fault:
    """A way to fail.

    Attributes:
        name: On the command line.
        title: In the table.
        act: Does it.
        flags: Of serve-repo.
        callers: How many there are at once.
        prefix: What they ask for.
        shell: See Serving.
    """

    name: str
    title: str
    act: Act
    flags: tuple[str, ...] = ()
    callers: int = 32
    prefix: str = "echo"
    shell: str = ""


@dataclass(frozen=True)
class Row:
    """What came of a fault; see Tally.

    Attributes:
        longest: Seconds that the slowest answer took.
        recoveries: Seconds, for each time.
    """

    title: str
    callers: int
    requests: int
    right: int
    refused_503: int
    refused_429: int
    lost: int
    wrong: int
    longest: float
    recoveries: list[float]


def killing(count: int, mark: str) -> Act:
    """Kills the process of a program, so many times."""

    async def act(served: Serving, tally: Tally) -> list[float]:
        times = []
        for _ in range(count):
            loads = served.found("ready ")
            (process,) = served.processes(mark)
            process.kill()
            tally.fault()
            await until("loaded again", lambda loads=loads: served.found("ready ") > loads)  # type: ignore[misc]
            times.append(await tally.recovery())
            await asyncio.sleep(STABLE_S)
        return times

    return act


def sending(count: int, inputs: str) -> Act:
    """Sends a request that its model does not survive, so many times; it is to be refused."""

    async def act(served: Serving, tally: Tally) -> list[float]:
        times = []
        for _ in range(count):
            (process,) = served.processes(STUB)
            deadly = asyncio.create_task(one(served, inputs))
            await until("it has died", lambda process=process: process not in served.family())  # type: ignore[misc]
            tally.fault()
            status = await deadly
            if status != 503:
                tally.wrong += 1
                tally.examples.append(f"{inputs}: {status}")
            times.append(await tally.recovery())
            await asyncio.sleep(STABLE_S)
        return times

    return act


async def leak(served: Serving, tally: Tally) -> list[float]:
    """Has the model grow until it has been replaced; gives how long callers waited after each time it grew."""
    times: list[float] = []
    loads = served.found("ready ")
    while served.found("ready ") == loads:
        tally.fault()
        if await one(served, "leak 50") != 200:
            tally.wrong += 1
        times.append(await tally.recovery())
        await asyncio.sleep(0.3)
    await asyncio.sleep(STABLE_S)
    return times


async def fill(served: Serving, tally: Tally) -> list[float]:
    """Fills /dev/shm, so that larger requests than ever find no room while small ones go on; then empties it."""
    times = []
    for turn in range(1, 4):
        large = "x" * (turn * LARGE)  # Triton keeps what it once took of the shared memory
        await nearby(served, "head -c 1G /dev/zero > /dev/shm/full 2>/dev/null; true")
        for _ in range(3):
            status = await one(served, large)
            tally.requests += 1
            tally.refused[status] += status == 503
            tally.wrong += status != 503
            if status != 503:
                tally.examples.append(f"{turn * LARGE >> 20} MiB with a full /dev/shm: {status}")
        await asyncio.sleep(1)
        await nearby(served, "rm /dev/shm/full")
        emptied = time.monotonic()
        while await one(served, large) != 200:
            if time.monotonic() - emptied > PATIENCE_S:
                raise TimeoutError("large requests are still refused")
        times.append(time.monotonic() - emptied)
    return times


async def stop(served: Serving, tally: Tally) -> list[float]:
    """SIGTERM: what was sent before it must be answered; what comes later may find the port closed."""
    moment = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    await until("stopped", lambda: served.process.poll() is not None)
    took = time.monotonic() - moment
    if served.process.returncode:
        tally.wrong += 1
        tally.examples.append(f"exit code {served.process.returncode}")
    await asyncio.sleep(0.5)
    tally.lost = [sent for sent in tally.lost if sent < moment]
    return [took]


async def one(served: Serving, inputs: str) -> int:
    """The status of one more request, of another caller."""
    connection = Connection(served.port)
    try:
        return (await connection.ask(echo(inputs))).status
    finally:
        connection.close()


async def nearby(served: Serving, command: str) -> None:
    """Runs a shell's command in the namespaces of a serve-repo."""
    enter = ["nsenter", "--target", str(served.process.pid), "--user", "--mount", "--preserve-credentials"]
    process = await asyncio.create_subprocess_exec(*enter, "sh", "-c", command)
    if await process.wait():
        raise RuntimeError(f"failed: {command}")


def all_faults(kills: int) -> list[Fault]:
    """Every way; the first as often as is said."""
    hang, memory = ("--hang-timeout", str(HANG_S)), ("--model-memory", str(MEMORY_MIB))
    return [
        Fault("model", f"{kills} kills of the model's process", killing(kills, STUB)),
        Fault("triton", "5 kills of tritonserver", killing(5, TRITON), ("--max-restarts", "9")),
        Fault("exit", "5 requests on which it exits", sending(5, "exit")),
        Fault("hang", f"3 requests on which it hangs, limit {HANG_S} s", sending(3, "spin"), hang),
        Fault("leak", f"it leaks, limit {MEMORY_MIB} MiB", leak, memory, callers=8),
        Fault("shm", "a full /dev/shm, 3 times", fill, callers=8, shell=SMALL_SHM),
        Fault("stop", "SIGTERM (time until the exit)", stop, callers=16, prefix="sleep 0.2"),
    ]


async def measure(fault: Fault, repository: Path) -> Row:
    """Serves, has callers ask, does the fault, and says what came of it."""
    tally = Tally(fault.prefix)
    async with serving(repository, *fault.flags, shell=fault.shell) as served:
        async with calling(served.port, fault.callers, tally.ask, tally.seen):
            await asyncio.sleep(1)
            times = await fault.act(served, tally)
        print("".join(f"    {line}" for line in served.lines if line.startswith(("died", "hung", "grown"))), end="")
    for wrong in tally.examples:
        print(f"    wrong: {wrong}", file=sys.stderr)
    refused = (tally.refused[503], tally.refused[429])
    right = (tally.requests, tally.right)
    return Row(fault.title, fault.callers, *right, *refused, len(tally.lost), tally.wrong, tally.longest, times)


def markdown(rows: list[Row], disk: str) -> str:
    """The table, and the sentence about disks."""
    counts = ["callers", "requests", "right", "503", "429", "lost", "wrong"]
    heads = ["fault", *counts, "recovery, p50 (s)", "max (s)", "slowest answer (s)"]
    cells = [
        [
            row.title,
            *map(str, (row.callers, row.requests, row.right, row.refused_503, row.refused_429, row.lost, row.wrong)),
            report.number(statistics.median(row.recoveries) if row.recoveries else None, 2),
            report.number(max(row.recoveries, default=None), 2),
            report.number(row.longest),
        ]
        for row in rows
    ]
    return "\n\n".join(
        part for part in (f"{record.machine()}.", report.table(heads, cells) if rows else "", disk) if part
    )


def main() -> None:
    """Does what is asked for, or all."""
    names = [*(fault.name for fault in all_faults(0)), full_disk.NAME]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(names)}")
    parser.add_argument("--kills", type=int, default=50, help="of the model's process (default 50)")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where to write them")
    given = parser.parse_args()
    for name in [each for each in given.faults if each not in names]:
        parser.error(f"there is no fault {name!r}; there are {', '.join(names)}")
    wanted = given.faults or names
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        faulty_model(Path(folder) / NAME)
        repository = Path(folder) / "repository"
        set_parameter(generate(Path(folder) / NAME, "custom", NAME, repository), "max_queue_size", str(QUEUE))
        for fault in [each for each in all_faults(given.kills) if each.name in wanted]:
            rows.append(uvloop.run(measure(fault, repository)))
            print(markdown(rows[-1:], ""), flush=True)
    disk = full_disk.measure() if full_disk.NAME in wanted else None
    text = markdown(rows, disk.sentence if disk else "")
    figures = {"rows": [asdict(row) for row in rows], "disk": asdict(disk) if disk else None}
    record.keep("faults", figures, text, given.results)
    if any(row.wrong or row.lost for row in rows) or (disk and disk.wrong):
        sys.exit("There were wrong or lost answers; see above.")


if __name__ == "__main__":
    main()

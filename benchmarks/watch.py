"""What a server's processes hold, over time: memory, descriptors, threads, shared memory."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.serving import STUB, TRITON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.serving import Serving

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (Linux' own place for it)
REGION = "hub2triton-"
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """All processes of a server at one moment.

    Attributes:
        at: Seconds since the watching began.
        pss_mib: Memory by part; a page that several processes share counts once in all.
        rss_mib: Resident memory of all processes; what several share counts for each.
        descriptors: Open files, sockets and pipes of all processes.
        threads: Of all processes.
        shared_mib: The regions in /dev/shm.
    """

    at: float
    pss_mib: dict[str, float]
    rss_mib: float
    descriptors: int
    threads: int
    shared_mib: float

    @property
    def memory_mib(self) -> float:
        """PSS of all processes."""
        return sum(self.pss_mib.values())


@dataclass
class Watch:
    """Samples of a server, one every few seconds."""

    served: Serving
    every_s: float
    samples: list[Sample] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watch]:
        """Takes samples until the end of the block."""
        began = time.monotonic()

        async def look() -> None:
            while True:
                self.samples.append(await asyncio.to_thread(take, self.served, time.monotonic() - began))
                await asyncio.sleep(self.every_s)

        task = asyncio.create_task(look())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def take(served: Serving, at: float = 0.0) -> Sample:
    """The processes of a server now."""
    pss: dict[str, float] = {}
    rss = descriptors = threads = 0
    for process in served.family():
        with contextlib.suppress(psutil.Error):  # one may end meanwhile
            part = _part(process.cmdline())
            memory = process.memory_full_info()
            pss[part] = pss.get(part, 0.0) + memory.pss / MIB
            rss += memory.rss
            descriptors += process.num_fds()
            threads += process.num_threads()
    shared = sum(_size(path) for path in SHARED_MEMORY.glob(f"{REGION}*"))
    return Sample(at, pss, rss / MIB, descriptors, threads, shared / MIB)


def slope(samples: Sequence[Sample]) -> float:
    """MiB in an hour by which the memory grows: the line that fits best."""
    if len(samples) < 2:
        return 0.0
    return statistics.linear_regression([each.at for each in samples], [each.memory_mib for each in samples])[0] * 3600


def _part(command: list[str]) -> str:
    """What a process is for, by its command."""
    text = " ".join(command)
    if STUB in text:
        return f"model {Path(command[1]).parts[-3]}" if len(command) > 1 and "/" in command[1] else "model"
    if command and command[0].endswith(TRITON):
        return "tritonserver"
    return "shim" if "hub2triton.shim" in text or "hf-shim" in text else "serve-repo"


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_blocks * 512
    return 0

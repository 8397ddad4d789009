"""What callers see of processes that die, hang and grow: every answer is held against what was asked.

`python -m benchmarks.faults`; a handler that echoes is served by `serve-repo`, and on request fails in the ways that
take its process with it. The recovery is the time from the fault to the first right answer to a request sent after it.
Prints the table of docs/faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psutil
from tests.e2e.service import BIN, free_ports, generate
from tests.models.custom import faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

NAME = "faults"
PATIENCE_S = 120.0
HANG_S = 3
STABLE_S = 5.2  # what dies sooner is started again with a delay
MEMORY_MIB = 300


class Serving:
    """A serve-repo that runs.

    Attributes:
        lines: What it has printed.
    """

    def __init__(self, repository: Path, *flags: str, shell: str = "") -> None:
        self.port, *others = free_ports(4)
        names = ("--port", "--grpc-port", "--http-port", "--metrics-port")
        ports = [text for pair in zip(names, map(str, (self.port, *others)), strict=True) for text in pair]
        command = [str(BIN / "serve-repo"), str(repository), *ports, *flags]
        if shell:  # what to do before, in namespaces of its own
            inside = f'{shell} && exec "$0" "$@"'
            command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, *command]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def loads(self) -> int:
        """How often the model has been loaded."""
        return sum(line.startswith(f"ready   {NAME}") for line in self.lines)

    def found(self, pattern: str) -> list[str]:
        """The lines that a pattern fits the start of."""
        return [line for line in self.lines if re.match(pattern, line)]

    def child(self, mark: str) -> psutil.Process:
        """The process that has a mark in its command line."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if command and mark in command[0] and process.status() != psutil.STATUS_ZOMBIE:
                    return process
        raise LookupError(mark)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)


@dataclass
class Load:
    """Clients that ask one thing after the other.

    Attributes:
        right: When each request that was answered rightly had been sent and answered.
        refused: 503 and 429, with a reason and Retry-After.
        lost: When each request was sent whose connection was refused or broken.
        wrong: Any other answer.
    """

    url: str
    right: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    lost: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self, clients: int, prefix: str = "echo") -> AsyncIterator[Load]:
        """Keeps clients busy."""
        stop = asyncio.Event()
        timeout = aiohttp.ClientTimeout(PATIENCE_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            tasks = [asyncio.create_task(self._client(session, f"{prefix} {n}", stop)) for n in range(clients)]
            try:
                yield self
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    async def recovered(self, since: float) -> float:
        """Waits until something sent after a moment is answered rightly; seconds since that moment."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = [answered for sent, answered in self.right[-500:] if sent > since]
            if found:
                return min(found) - since
            await asyncio.sleep(0.01)
        raise TimeoutError("not recovered")

    async def _client(self, session: aiohttp.ClientSession, prefix: str, stop: asyncio.Event) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            body = {"inputs": f"{prefix} {turn}"}
            sent = time.monotonic()
            try:
                async with session.post(self.url, json=body) as response:
                    told = await response.json()
            except aiohttp.ClientError:
                self.lost.append(sent)
                await asyncio.sleep(0.05)
                continue
            if response.status == 200 and told == body:
                self.right.append((sent, time.monotonic()))
            elif response.status in (503, 429) and told.get("error") and response.headers.get("retry-after"):
                self.refused += 1
            else:
                self.wrong.append(f"{body} -> {response.status} {told}")


async def until(what: str, check: Callable[[], bool]) -> None:
    """Waits for something that will be."""
    end = time.monotonic() + PATIENCE_S
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


async def scenario(
    name: str, repository: Path, fault: Callable[[Serving, Load], Awaitable[list[float]]], *flags: str, **more: object
) -> None:
    """Serves, loads, does the faults, and prints a row."""
    serving = Serving(repository, *flags, shell=str(more.get("shell", "")))
    try:
        await until("serving", lambda: bool(serving.found("Ctrl-C")) or serving.process.poll() is not None)
        load = Load(f"http://127.0.0.1:{serving.port}/")
        async with load.running(int(str(more.get("clients", 32))), str(more.get("prefix", "echo"))):
            await asyncio.sleep(1)
            times = await fault(serving, load)
        typical = f"{statistics.median(times):.2f}" if times else ""
        longest = f"{max(times):.2f}" if times else ""
        row = (name, len(load.right), load.refused, len(load.lost), len(load.wrong), typical, longest)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        for wrong in load.wrong[:3]:
            print(f"    {wrong}", file=sys.stderr)
    finally:
        serving.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            serving.process.wait(40)


async def send(load: Load, inputs: str) -> int:
    """Sends one request of another client; its status."""
    async with aiohttp.ClientSession() as session, session.post(load.url, json={"inputs": inputs}) as response:
        await response.read()
        return response.status


def killing(count: int, mark: str) -> Callable[[Serving, Load], Awaitable[list[float]]]:
    """Kills the process of a mark, so many times."""

    async def fault(serving: Serving, load: Load) -> list[float]:
        times = []
        for _ in range(count):
            loads = serving.loads()
            moment = time.monotonic()
            serving.child(mark).kill()
            await until("loaded again", lambda loads=loads: serving.loads() > loads)  # type: ignore[misc]
            times.append(await load.recovered(moment))
            await asyncio.sleep(STABLE_S)
        return times

    return fault


def sending(count: int, inputs: str, *, line: str) -> Callable[[Serving, Load], Awaitable[list[float]]]:
    """Sends a request that its model does not survive, so many times."""

    async def fault(serving: Serving, load: Load) -> list[float]:
        times = []
        for _ in range(count):
            seen = len(serving.found(line))
            moment = time.monotonic()
            poison = asyncio.create_task(send(load, inputs))
            await until(line, lambda seen=seen: len(serving.found(line)) > seen)  # type: ignore[misc]
            if await poison != 503:
                load.wrong.append(f"{inputs} was answered")
            times.append(await load.recovered(moment))
            await asyncio.sleep(STABLE_S)
        return times

    return fault


async def leak(serving: Serving, load: Load) -> list[float]:
    """Lets the model grow until it has been replaced."""
    longest: list[float] = []
    loads = serving.loads()
    while serving.loads() == loads:
        moment = time.monotonic()
        if await send(load, "leak 50") == 200:
            longest.append(await load.recovered(moment))
        await asyncio.sleep(0.3)
    return longest


async def fill(_: Serving, load: Load) -> list[float]:
    """Sends what does not fit into /dev/shm."""
    moment = time.monotonic()
    status = await send(load, "x" * (8 << 20))
    print(f"    a body of 8 MiB: {status}", file=sys.stderr)
    return [await load.recovered(moment)]


async def stop(serving: Serving, load: Load) -> list[float]:
    """SIGTERM: what was sent before it must be answered."""
    moment = time.monotonic()
    serving.process.send_signal(signal.SIGTERM)
    await until("stopped", lambda: serving.process.poll() is not None)
    took = time.monotonic() - moment
    load.lost = [sent for sent in load.lost if sent < moment]
    return [took]


async def measure(kills: int) -> None:
    """All scenarios, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        faults(Path(folder) / NAME)
        repository = Path(folder) / "repository"
        generate(Path(folder) / NAME, "custom", NAME, repository)
        config = repository / NAME / "config.pbtxt"
        # A queue for all clients: a 429 would only say that there are many of them.
        config.write_text(config.read_text().replace("max_queue_size: 16", "max_queue_size: 256"))
        print("| Fault | right | 503, 429 | lost | wrong | recovery, median (s) | longest (s) |")
        print("|---|---|---|---|---|---|---|", flush=True)
        if kills:
            await scenario(f"{kills} kills of the model's process", repository, killing(kills, "_stub"))
        await scenario("3 kills of tritonserver", repository, killing(3, "/tritonserver"))
        died = f"died    {NAME}"
        await scenario("3 requests on which it exits", repository, sending(3, "exit", line=died))
        flags = ("--hang-timeout", str(HANG_S))
        hung = f"hung    {NAME}"
        await scenario(
            f"2 requests on which it hangs, limit {HANG_S} s", repository, sending(2, "spin", line=hung), *flags
        )
        await scenario("a leak, limit 300 MiB", repository, leak, "--model-memory", str(MEMORY_MIB), clients=8)
        await scenario("SIGTERM (until the exit)", repository, stop, clients=16, prefix="sleep 0.2")
        small = "mount -t tmpfs -o size=6m tmpfs /dev/shm"
        await scenario("a full /dev/shm", repository, fill, shell=small, clients=4)


def main() -> None:
    """Runs all scenarios and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    asyncio.run(measure(parser.parse_args().kills))


if __name__ == "__main__":
    main()

"""What a request costs besides the model: CPU time of each process, with a model that answers at once.

`python -m benchmarks.shim_cost`; all-MiniLM-L6-v2's repository is served as ever, but its model.py answers zeros. CPU
times are what to look at: unlike the requests per second, they hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil
import uvloop

from benchmarks.build import model_folder
from benchmarks.contender import BIN
from benchmarks.ports import free_ports
from benchmarks.words import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

ZEROS = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            rows = len(pb_utils.get_input_tensor_by_name(request, "text").as_numpy())
            vectors = np.full((rows, 384), 0.051031036, dtype=np.float32)
            counts = np.zeros((rows, 1), dtype=np.int32)
            outputs = [pb_utils.Tensor("embedding", vectors), pb_utils.Tensor("token_count", counts)]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses
"""
"""A model.py that costs nothing; its numbers have as many digits as a real vector's."""

PARTS = {"hub2triton.shim": "shim", "triton_python_backend_stub": "model", "tritonserver": "tritonserver"}
"""What a command line holds, and what such a process is called here."""


@dataclass
class Load:
    """Clients that each send a body, wait for the answer, and send the next.

    Attributes:
        times: Of each request, in seconds.
    """

    port: int
    bodies: list[bytes]
    times: list[float] = field(default_factory=list)

    async def run(self, clients: int, seconds: float) -> None:
        """Keeps so many clients busy for so long; every answer must be a 200."""
        self.times.clear()
        until = time.perf_counter() + seconds
        loop = asyncio.get_running_loop()
        turns = iter(range(clients))
        made = [
            await loop.create_connection(lambda: _Connection(self, until, next(turns)), "127.0.0.1", self.port)
            for _ in range(clients)
        ]
        await asyncio.gather(*(connection.done for _, connection in made))


class _Connection(asyncio.Protocol):
    """One client: as little Python as can be, since its work is no part of what is measured."""

    def __init__(self, load: Load, until: float, turn: int) -> None:
        self._load, self._until, self._turn = load, until, turn
        self._answer, self._missing, self._began = b"", 0, 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._answer.decode()))
            return
        now = time.perf_counter()
        self._load.times.append(now - self._began)
        if now < self._until:
            self._send()
        else:
            self._transport.close()
            self.done.set_result(None)

    def _send(self) -> None:
        self._answer = b""
        self._turn += 7
        body = self._load.bodies[self._turn % len(self._load.bodies)]
        head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._began = time.perf_counter()
        self._transport.write(head.encode() + body)


@contextmanager
def served(*options: str) -> Iterator[tuple[psutil.Process, int]]:
    """The model of zeros behind serve-repo; gives its process and the shim's port."""
    with tempfile.TemporaryDirectory() as folder:
        generate = [
            str(BIN / "generate-repo"),
            str(model_folder()),
            "--task",
            "sentence-embeddings",
            "--output",
            folder,
        ]
        subprocess.run([*generate, "--name", "zeros", *options], check=True, stdout=subprocess.DEVNULL)
        (Path(folder) / "zeros" / "1" / "model.py").write_text(ZEROS)
        ports = free_ports(4)
        flags = ("--port", "--grpc-port", "--http-port", "--metrics-port")
        named = [text for flag, port in zip(flags, ports, strict=True) for text in (flag, str(port))]
        process = subprocess.Popen([BIN / "serve-repo", folder, *named], stdout=subprocess.DEVNULL)
        try:
            _wait(ports[0])
            yield psutil.Process(process.pid), ports[0]
        finally:
            process.terminate()
            process.wait(timeout=30)


def cpu_seconds(server: psutil.Process) -> dict[str, float]:
    """CPU time so far, by what a process does; the load is this process."""
    found = {"load": _cpu(psutil.Process())}
    for child in server.children(recursive=True):
        command = " ".join(child.cmdline())
        part = next((part for mark, part in PARTS.items() if mark in command), None)
        if part:
            found[part] = found.get(part, 0.0) + _cpu(child)
    return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Runs one round for each number of clients, then one of lists, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seconds", type=float, default=5, help="of each round")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--list", type=int, default=512, help="texts in a request of the last round")
    given = parser.parse_args()
    texts = sentences()
    single = [json.dumps({"inputs": text}).encode() for text in texts]
    listed = [json.dumps({"inputs": (texts * (given.list // len(texts) + 1))[: given.list]}).encode()]
    parts = ["shim", "tritonserver", "model", "load"]
    print(f"{'CPU ms a request':<18}{'req/s':>9}{'p50 ms':>9}" + "".join(f"{part:>14}" for part in (*parts, "sum")))
    with served() as (server, port):
        uvloop.run(Load(port, single).run(4, 2))
        rounds = [(f"c={clients}", single, clients) for clients in given.clients]
        for name, bodies, clients in [*rounds, (f"list of {given.list}", listed, 1)]:
            load = Load(port, bodies)
            before, began = cpu_seconds(server), time.perf_counter()
            uvloop.run(load.run(clients, given.seconds))
            took, after = time.perf_counter() - began, cpu_seconds(server)
            count = len(load.times)
            each = [(after[part] - before[part]) * 1000 / count for part in parts]
            cells = "".join(f"{milliseconds:14.3f}" for milliseconds in (*each, sum(each)))
            print(f"{name:<18}{count / took:9.1f}{statistics.median(load.times) * 1000:9.2f}{cells}", flush=True)


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server was not ready in time")


if __name__ == "__main__":
    main()

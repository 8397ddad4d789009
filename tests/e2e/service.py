"""The servers under test: serve-repo on ports of its own, watched and stopped by the test."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
READY_S = 180.0


@dataclass
class Service:
    """A running serve-repo.

    Attributes:
        lines: What it has printed so far.
    """

    process: subprocess.Popen[str]
    port: int
    grpc_port: int
    http_port: int
    metrics_port: int
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def load_seconds(self, model: str) -> float:
        """How long a model took to load the last time, as serve-repo told."""
        found = re.findall(rf"ready\s+{re.escape(model)} in ([\d.]+) s", self.output)
        assert found, self.output
        return float(found[-1])

    def model_processes(self, model: str) -> list[psutil.Process]:
        """The processes that run a model's instances now."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if f"/{model}/" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def metric(self, name: str, model: str) -> float:
        """The present value of one of Triton's own figures."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as response:
            page = response.read().decode()
        found = [line for line in page.splitlines() if line.startswith(f'{name}{{model="{model}"')]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def start(command: list[str], environment: dict[str, str] | None = None) -> Iterator[Service]:
    """Starts a command that ends in serve-repo, waits until it serves, and stops it after the test."""
    ports = free_ports(4)
    names = ("PORT", "GRPC_PORT", "HTTP_PORT", "METRICS_PORT")
    settings = {f"HUB2TRITON_{name}": str(port) for name, port in zip(names, ports, strict=True)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **settings, **(environment or {})},
        start_new_session=True,
    )
    service = Service(process, *ports)
    reader = threading.Thread(target=_collect, args=(service,), daemon=True)
    reader.start()
    try:
        until = time.monotonic() + READY_S
        while "Ctrl-C stops it" not in service.output:
            assert process.poll() is None, f"ended early:\n{service.output}"
            assert time.monotonic() < until, f"not ready in {READY_S} s:\n{service.output}"
            time.sleep(0.1)
        yield service
    finally:
        process.terminate()
        process.wait(timeout=20)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


def generate(model: Path | str, task: str, name: str, output: Path, *options: str) -> Path:
    """Runs generate-repo; gives the model's folder."""
    command = [BIN / "generate-repo", model, "--task", task, "--name", name, "--output", output, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output / name


def _collect(service: Service) -> None:
    assert service.process.stdout is not None
    for line in service.process.stdout:
        service.lines.append(line)

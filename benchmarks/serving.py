"""A serve-repo that runs: what it prints, its processes, its end."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.ports import free_ports
from benchmarks.server import ALONE

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable

BIN = Path(sys.executable).parent
PATIENCE_S = 180.0
"""How long anything may take that is waited for."""

START_S = 900.0
"""How long all models together may take to load."""

STOP_S = 60.0
STUB = "triton_python_backend_stub"
TRITON = "/tritonserver"


class Serving:
    """A serve-repo on ports of its own.

    Attributes:
        port: Of the shim.
        process: serve-repo itself.
        lines: What it has printed.
    """

    def __init__(self, repository: Path, *flags: str, shell: str = "") -> None:
        """Starts it.

        Args:
            repository: What it serves.
            flags: Further ones of serve-repo.
            shell: A command that goes before, in namespaces of its own, where everybody is root and may mount.
        """
        ports = free_ports(4)
        self.port = ports[0]
        names = ("--port", "--grpc-port", "--http-port", "--metrics-port")
        listening = [text for pair in zip(names, map(str, ports), strict=True) for text in pair]
        command = [str(BIN / "serve-repo"), str(repository), *listening, *flags]
        self.process = subprocess.Popen(
            ["env", *(f"{name}={value}" for name, value in ALONE.items()), *(inside(shell) if shell else []), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def health(self) -> str:
        """The URL that tells whether it can be asked."""
        return f"http://127.0.0.1:{self.port}/health"

    def found(self, beginning: str) -> int:
        """How many lines it has printed that begin so: a regular expression."""
        return sum(re.match(beginning, line) is not None for line in self.lines)

    def family(self) -> list[psutil.Process]:
        """All of its processes that live."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [each for each in (parent, *parent.children(recursive=True)) if _lives(each)]
        return []

    def processes(self, mark: str) -> list[psutil.Process]:
        """Those that have a mark in the name of their program."""
        found = []
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if mark in (process.cmdline() or [""])[0]:
                    found.append(process)
        return found

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)


@asynccontextmanager
async def serving(repository: Path, *flags: str, shell: str = "") -> AsyncIterator[Serving]:
    """Serves a repository from when all its models are ready, until the end of the block; see Serving.

    Raises:
        RuntimeError: It ended early.
    """
    served = Serving(repository, *flags, shell=shell)
    try:
        await until("it serves", lambda: served.found("Ctrl-C") > 0 or served.process.poll() is not None, START_S)
        if served.process.poll() is not None:
            raise RuntimeError(f"serve-repo ended instead of serving:\n{''.join(served.lines[-20:])}")
        yield served
    finally:
        served.process.terminate()
        try:
            await asyncio.to_thread(served.process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            served.process.kill()  # its guard ends the rest


async def until(what: str, check: Callable[[], bool], patience: float = PATIENCE_S) -> None:
    """Waits for something that will be.

    Raises:
        TimeoutError: It was not within so many seconds.
    """
    end = time.monotonic() + patience
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {patience:.0f} s: {what}")
        await asyncio.sleep(0.02)


def generate(model: os.PathLike[str] | str, task: str, name: str, repository: Path, *options: str) -> Path:
    """Runs generate-repo; gives the folder that it wrote."""
    command = [str(BIN / "generate-repo"), str(model), "--task", task, "--name", name, "--output", str(repository)]
    done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"generate-repo failed:\n{done.stdout}{done.stderr}")
    return repository / name


def set_parameter(folder: Path, name: str, value: str) -> None:
    """Changes a parameter in the config.pbtxt of a generated model, as an operator would.

    Raises:
        LookupError: It has no such parameter.
    """
    config = folder / "config.pbtxt"
    line = rf'(parameters {{ key: "{name}" value {{ string_value: )"[^"]*"'
    text, changed = re.subn(line, rf'\g<1>"{value}"', config.read_text(encoding="utf-8"))
    if changed != 1:
        raise LookupError(f"{config} has {changed} parameters {name!r}, not one")
    config.write_text(text, encoding="utf-8")


def inside(shell: str) -> list[str]:
    """What goes before a command, so that a shell's command runs first, in namespaces of their own."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{shell} && exec "$0" "$@"']


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False

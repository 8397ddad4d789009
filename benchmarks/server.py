"""A server's processes: their start, their memory, their end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
PATIENCE_S = 180
"""How long a server may take to come up, or a long request to be answered."""

ALONE = {
    "HF_HUB_OFFLINE": "1",  # models are folders; nobody is to ask the Hub for them
    "TOKENIZERS_PARALLELISM": "false",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "DO_NOT_TRACK": "1",
}


class UnavailableError(Exception):
    """A contender cannot take part; the text is the sentence that says why."""


@dataclass
class Server:
    """A server that can be started again and again, each time on a port of its own.

    Attributes:
        command: What starts it on a port.
        route: The path that requests go to.
        probe: The body of a real request.
        log: Gets what the server prints.
        port: While it is up.
    """

    command: Callable[[int], list[str]]
    route: str
    probe: bytes
    log: Path
    port: int = 0
    _process: psutil.Popen | None = field(default=None, repr=False)

    @property
    def up(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._process is not None

    def start(self) -> float:
        """Starts it; gives the seconds until it has answered a real request.

        Raises:
            UnavailableError: It ended, or did not answer in time.
        """
        (self.port,) = free_ports(1)
        with self.log.open("ab") as log:
            began = time.perf_counter()
            self._process = psutil.Popen(
                self.command(self.port),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=os.environ | ALONE,
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None:
                self._process = None
                raise UnavailableError(f"It ended instead of serving: {self._last_words()}")
            if time.perf_counter() - began > PATIENCE_S:
                self.stop()
                raise UnavailableError(f"It did not answer within {PATIENCE_S} s: {self._last_words()}")
            time.sleep(0.02)
        return time.perf_counter() - began

    def ask(self, body: bytes) -> bytes:
        """The answer to one request.

        Raises:
            OSError: Nobody answers.
            ValueError: The answer is no 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("POST", self.route, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(f"{answer.status}: {found[:300].decode(errors='replace')}")
        return found

    def memory_mib(self) -> float:
        """What all of its processes hold; a page that several share counts once in all (PSS)."""
        return float(sum(each.memory_full_info().pss for each in self._family())) / 2**20

    def cpu_seconds(self) -> float:
        """CPU time of all of its processes so far."""
        return float(sum(sum(each.cpu_times()[:2]) for each in self._family()))

    def stop(self) -> None:
        """Ends it and all that it has started."""
        if self._process is None:
            return
        family = self._family()
        self._process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self._process.wait(timeout=20)
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        self._process = None

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None  # noqa: S101 (asked only while it is up)
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _answers(self) -> bool:
        try:
            self.ask(self.probe)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return True

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing."

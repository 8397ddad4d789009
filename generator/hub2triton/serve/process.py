"""The child processes of serve-repo: each a session of its own, its output read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

from hub2triton.serve import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_CHUNK = 1 << 16
_LONGEST = 1 << 20  # bytes of a line; more is cut into several
_POLL = 0.05  # seconds
_TAIL = 30  # lines kept to explain a death
# Progress bars draw over themselves with a carriage return; only what they show last is of use in a log.
_OVERDRAWN = re.compile(rb".*\r(?=.)")


class Guard:
    """The process that cleans up if serve-repo itself is killed."""

    def __init__(self, prefix: str, folder: Path) -> None:
        command = [sys.executable, "-I", "-S", guard.__file__, prefix, str(folder)]
        # Its output goes nowhere: it must not keep a pipeline open that serve-repo writes into.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def watch(self, group: int) -> None:
        """Has a process group killed if serve-repo ends without forgetting it."""
        self._tell(f"watch {group}\n")

    def forget(self, group: int) -> None:
        """Takes back `watch`, once the group has ended."""
        self._tell(f"forget {group}\n")

    def close(self) -> None:
        """Ends the guard, after its own sweep."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if self._process.stdin:
                self._process.stdin.close()
            self._process.wait(1)

    def _tell(self, line: str) -> None:
        # Without its guard serve-repo serves as well; it only leaves more behind if it is killed.
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.write(line)


class Child:
    """A running child process and its process group."""

    def __init__(
        self, process: asyncio.subprocess.Process, guard_process: Guard, on_line: Callable[[str], None]
    ) -> None:
        self._process = process
        self._guard = guard_process
        self._on_line = on_line
        self.tail: deque[str] = deque(maxlen=_TAIL)
        guard_process.watch(process.pid)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        guard_process: Guard,
        on_line: Callable[[str], None],
    ) -> Child:
        """Starts a command in a session of its own, so that Ctrl-C reaches serve-repo alone.

        Args:
            command: Program and arguments.
            environment: The whole environment.
            guard_process: Told of the process group.
            on_line: Called with every line of stdout and stderr, without its newline.

        Raises:
            OSError: The program cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        return cls(process, guard_process, on_line)

    @property
    def pid(self) -> int:
        """Process id, which is also its group's."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Waits for its end and returns the exit status, negative for a signal."""
        # asyncio's own way waits for its output to end too, which processes that it left behind keep open.
        while (status := self._process.returncode) is None:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(_POLL)
        return status

    def terminate(self) -> None:
        """SIGTERM to the process alone; nothing if it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def stop(self, grace: float, hurry: asyncio.Event) -> None:
        """Ends the process and all of its group.

        Args:
            grace: Seconds between SIGTERM and SIGKILL.
            hurry: Set to kill without waiting longer.
        """
        if self.running:
            self.terminate()
            tasks = [asyncio.ensure_future(self.wait()), asyncio.ensure_future(hurry.wait())]
            await asyncio.wait(tasks, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL to what is left of the process and its group."""
        guard.kill_group(self.pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 1)
        self._guard.forget(self.pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reading, 0.2)

    def ending(self) -> str:
        """How it ended, in words."""
        status = self._process.returncode
        if status is None:
            return "still runs"
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-status).name}"
        return f"exited with code {status}"

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._emit(line)
            if len(rest) > _LONGEST:
                self._emit(rest)
                rest = b""
        if rest:
            self._emit(rest)

    def _emit(self, raw: bytes) -> None:
        line = _OVERDRAWN.sub(b"", raw.rstrip(b"\r")).decode("utf-8", "replace")
        if line.strip():
            self.tail.append(line)
        self._on_line(line)


def indent(lines: Iterable[str]) -> str:
    """Lines of a child's output, as they stand below a message."""
    return "\n".join(f"    {line}" for line in lines)

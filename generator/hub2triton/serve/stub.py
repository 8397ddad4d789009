"""The processes that run the models: one stub of Triton's Python backend per model instance.

A stub's command line is `…/triton_python_backend_stub <repository>/<model>/<version>/model.py <region> …`. Triton 2.51
neither reaps nor restarts a stub that was killed: it stays a zombie, whose command line is empty, so which model it ran
is only known from when it was alive.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

_NAME = "triton_python_backend_stub"
_MIB = 2**20


class Life(Enum):
    """What has become of a stub."""

    ALIVE = "alive"
    ZOMBIE = "zombie"
    GONE = "gone"


@dataclass(frozen=True)
class Stub:
    """One model process.

    Attributes:
        model: The directory's name in the repository.
        region: Name of its shared memory region in /dev/shm.
    """

    process: psutil.Process
    model: str
    region: str

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def life(self) -> Life:
        """Whether it still runs; reads two files of /proc."""
        try:
            if not self.process.is_running():
                return Life.GONE
            return Life.ZOMBIE if self.process.status() == psutil.STATUS_ZOMBIE else Life.ALIVE
        except psutil.NoSuchProcess:
            return Life.GONE

    def waits(self) -> bool | None:
        """Whether it waits for a request; None where this user may not know.

        Between two executions a stub's main thread sleeps on a lock in its shared memory region, and nowhere else for
        long. The system tells the call that the thread sleeps in, with its first argument: the lock's address.
        """
        try:
            call = Path(f"/proc/{self.pid}/syscall").read_text(encoding="ascii").split()
            address = int(call[1], 16) if len(call) > 2 else 0  # noqa: PLR2004 - none: it computes at this moment
            return address > 0 and any(start <= address < end for start, end in self._mapped())
        except (OSError, ValueError):
            return None

    def pauses(self) -> int:
        """How often its main thread has gone to sleep so far; it does between two executions, if for a moment only."""
        try:
            return int(self.process.num_ctx_switches().voluntary)
        except psutil.Error:
            return 0

    def memory(self) -> int:
        """Its resident memory that no file and no other process has a part in, in MiB."""
        try:
            memory = self.process.memory_info()
            return int(memory.rss - memory.shared) // _MIB
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """SIGKILL; nothing if it is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.kill()

    def _mapped(self) -> list[tuple[int, int]]:
        """Where its region lies in its memory, which changes when the region grows."""
        lines = Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        ranges = [line.partition(" ")[0].split("-") for line in lines if line.endswith(f"/{self.region}")]
        return [(int(start, 16), int(end, 16)) for start, end in ranges]


def parse_command(command: list[str], repository: Path) -> tuple[str, str] | None:
    """Model name and region of a stub's command line; None for another process."""
    if len(command) < 3 or Path(command[0]).name != _NAME:  # noqa: PLR2004 - stub, model file, region
        return None
    file = Path(command[1])
    if not file.is_relative_to(repository):
        return None
    return file.relative_to(repository).parts[0], command[2]


class StubList:
    """All stubs tritonserver has started so far."""

    def __init__(self, triton_pid: int, repository: Path) -> None:
        """Finds the stubs of a tritonserver that was started with this repository, given as it was then."""
        self._triton = psutil.Process(triton_pid)
        self._repository = repository
        self._known: dict[int, psutil.Process] = {}

    def discover(self) -> list[Stub]:
        """The stubs started since the last call, and alive; looks at every process of the machine."""
        found = []
        try:
            children = self._triton.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        # A process seen before is remembered by its start too, for the system gives ids out again.
        for process in children:
            if self._known.get(process.pid) == process:
                continue
            with contextlib.suppress(psutil.Error):
                parsed = parse_command(process.cmdline(), self._repository)
                # Between fork and exec a child still has Triton's command line: it is looked at again.
                if parsed:
                    self._known[process.pid] = process
                    found.append(Stub(process, *parsed))
        return found

"""Cleans up after serve-repo if it is killed: a process of its own that waits for the other end of a pipe to close.

PR_SET_PDEATHSIG would need code between fork and exec, unsafe beside gRPC's threads, and reaches only tritonserver: the
model processes, the shared memory and the temporary folder would stay. This file is run by its path, isolated and
without site-packages, and so imports the standard library only.

On its standard input it reads `watch <group>` and `forget <group>`, process groups to kill at the end of the input.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group; nothing if there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def sweep_regions(prefix: str) -> None:
    """Removes the shared memory regions of a run."""
    if SHARED_MEMORY.is_dir():
        for region in SHARED_MEMORY.glob(f"{prefix}*"):
            region.unlink(missing_ok=True)


def sweep(prefix: str, folder: Path) -> None:
    """Removes the shared memory regions of a run and its temporary folder."""
    sweep_regions(prefix)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Waits for the end of the input, then kills and sweeps; arguments: region prefix, temporary folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prefix, folder = sys.argv[1], Path(sys.argv[2])
    groups: set[int] = set()
    for line in sys.stdin:
        verb, _, group = line.partition(" ")
        (groups.add if verb == "watch" else groups.discard)(int(group))
    for group in groups:
        kill_group(group)
    if groups:
        time.sleep(0.2)  # a model process that was just starting may still create its region
    sweep(prefix, folder)


if __name__ == "__main__":
    main()

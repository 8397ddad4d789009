"""The cores of this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """The cores that this process may use, under its affinity and its cgroup's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such cgroup, or "max": without a limit
        return allowed

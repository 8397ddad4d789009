"""Whether /dev/shm, through which Triton and the models' processes exchange tensors, is large enough."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hub2triton.serve.guard import SHARED_MEMORY

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 2**20

# A container of Docker's has 64 MiB. A region grows to about 3.2 times the requests and answers of a batch, and never
# shrinks: less than this is soon used up by images and sounds, and then requests are refused.
AMPLE = 256 * _MIB
# Each instance's region starts with this much, or its model does not load.
FIRST = 1 * _MIB

_MORE = "docker run --shm-size 1g, or in Kubernetes an emptyDir with medium: Memory at /dev/shm, gives more"


def lack(processes: int, place: Path = SHARED_MEMORY) -> str | None:
    """What is to be said of a shared memory that may not do.

    Args:
        processes: Model processes that are about to start, at least.
        place: Where the system keeps it.

    Returns:
        One line with the next step; None where there is enough, or where the system does not tell.
    """
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    if free < processes * FIRST:
        return f"{place} has {free / _MIB:.1f} MiB free, of which each model's process needs 1 MiB to start; {_MORE}"
    if free < AMPLE:
        return (
            f"{place} has {free // _MIB} MiB free of {size // _MIB} MiB: images, sounds and large batches may be "
            f"refused for want of it; {_MORE}"
        )
    return None

"""Masks of segments as PNG files."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, Any]

RUN_LENGTHS = 3
"""zlib's strategy Z_RLE: a mask is long runs of one value, which it finds fastest."""


class MaskWriter:
    """Writes masks in several threads: compression works outside of Python's lock."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mask")

    def write(self, segments: Array, ids: Sequence[int]) -> list[bytes]:
        """A PNG for each id: 8-bit grey, 255 where `segments`, numbers [height, width], holds it and 0 elsewhere."""
        return list(self._threads.map(lambda found: png(segments == found), ids))


def png(mask: Array) -> bytes:
    """A mask of true and false, [height, width], as the bytes of a PNG."""
    stream = io.BytesIO()
    grey = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    grey.save(stream, format="PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return stream.getvalue()

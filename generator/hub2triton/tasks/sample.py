"""A small picture and a short sound for the examples of tasks that take files, made here without any file."""

from __future__ import annotations

import math
import struct
import zlib

from hub2triton.tasks.media import base64_of

SIZE = 32
"""Pixels on each side of the picture."""

RATE = 8000
"""Samples in a second of the sound."""

DURATION_S = 0.25
PITCH_HZ = 440


def picture() -> str:
    """A PNG of colours that change from left to right and from top to bottom, in base64."""
    step = 256 // SIZE
    lines = (b"\0" + b"".join(bytes((x * step, y * step, 128)) for x in range(SIZE)) for y in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(b"".join(lines), 9)), _chunk(b"IEND", b""))
    return base64_of(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def sound() -> str:
    """A WAV of one pure tone, in base64."""
    times = range(int(RATE * DURATION_S))
    samples = bytes(128 + round(64 * math.sin(2 * math.pi * PITCH_HZ * time / RATE)) for time in times)
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(samples)) + samples
    return base64_of(b"RIFF" + struct.pack("<I", len(body)) + body)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

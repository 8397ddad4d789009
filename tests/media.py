"""Sounds and images as files, made here: the same in every run, without any file from elsewhere."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

# ---- sounds

FRAME = 2**20
"""Samples that an encoder is given at once."""

SOUND_FILES: dict[str, tuple[str, str]] = {
    "wav": ("wav", "pcm_s16le"),
    "wav-8": ("wav", "pcm_u8"),
    "wav-24": ("wav", "pcm_s24le"),
    "wav-32": ("wav", "pcm_s32le"),
    "wav-float": ("wav", "pcm_f32le"),
    "wav-mulaw": ("wav", "pcm_mulaw"),
    "flac": ("flac", "flac"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16be"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg": ("ogg", "vorbis"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "alac": ("ipod", "alac"),
    "amr": ("amr", "libopencore_amrnb"),
}
"""Kinds of files, each with FFmpeg's names of its container and its codec."""

EXACT = ("wav", "wav-24", "wav-32", "wav-float", "flac", "aiff", "caf", "alac")
"""Kinds that keep what they are given, to 16 bits at least."""


def tone(seconds: float, rate: int = 16_000, hertz: float = 440.0) -> Array:
    """One pure tone, half as loud as can be: FP32 [samples]."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def voice(seconds: float, rate: int = 16_000, seed: int = 0) -> Array:
    """Tones that change ten times in a second, with noise: as a voice, it is another thing at every time. FP32."""
    draw = np.random.default_rng(seed)
    count = round(seconds * rate)
    steps = -(-count * 10 // rate)
    pitches = np.repeat(draw.uniform(90, 3000, (3, steps)), -(-rate // 10), axis=1)[:, :count]
    loudness = np.repeat(draw.uniform(0.05, 0.3, (3, steps)), -(-rate // 10), axis=1)[:, :count]
    tones = (loudness * np.sin(2 * np.pi * np.cumsum(pitches, axis=1) / rate)).sum(axis=0)
    found: Array = (tones + draw.normal(0, 0.02, count)).astype(np.float32)
    return found


def speech() -> bytes:
    """A spoken sentence, as a file: see tests/files/README.md."""
    return (Path(__file__).parent / "files" / "speech.ogg").read_bytes()


def sound_file(samples: Array, rate: int = 16_000, kind: str = "wav") -> bytes:
    """Samples as a file of a kind.

    Args:
        samples: FP32 [samples], or [2, samples] for two channels.
        rate: Samples in a second.
        kind: A key of SOUND_FILES.
    """
    form, codec = SOUND_FILES[kind]
    if codec == "vorbis" and samples.ndim == 1:  # FFmpeg's own encoder knows two channels only
        samples = np.stack([samples, samples])
    layout = "mono" if samples.ndim == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        planes = np.atleast_2d(samples)
        for start in range(0, planes.shape[1], FRAME):
            part = np.ascontiguousarray(planes[:, start : start + FRAME])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


# ---- images

IMAGE_FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg-grey": ("JPEG", "L", {}),
    "jpeg-cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png-alpha": ("PNG", "RGBA", {}),
    "png-grey": ("PNG", "L", {}),
    "png-grey-alpha": ("PNG", "LA", {}),
    "png-palette": ("PNG", "P", {}),
    "png-black-and-white": ("PNG", "1", {}),
    "webp": ("WEBP", "RGB", {}),
    "webp-alpha": ("WEBP", "RGBA", {"lossless": True}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff-cmyk": ("TIFF", "CMYK", {}),
    "avif": ("AVIF", "RGB", {}),
    "ppm": ("PPM", "RGB", {}),
}
"""Kinds of files, each with Pillow's names of its format and its mode, and options for saving it."""

ORIENTATION = 0x0112
"""The number of the EXIF tag that tells how an image is to be turned."""


def photo(width: int = 50, height: int = 40, seed: int = 0) -> Image.Image:
    """Squares of random colours: another picture in every corner, so that turning it shows."""
    squares = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return Image.fromarray(squares.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def image_file(image: Image.Image, kind: str = "png", *, orientation: int | None = None) -> bytes:
    """An image as a file of a kind.

    Args:
        image: In any mode. Where the kind has alpha, its left half becomes transparent.
        kind: A key of IMAGE_FILES.
        orientation: EXIF's number, 1 to 8, of how the pixels are to be turned.
    """
    form, mode, options = IMAGE_FILES[kind]
    made = image.convert(mode)
    if "A" in mode:
        alpha = Image.new("L", made.size, 255)
        alpha.paste(64, (0, 0, made.width // 2, made.height))
        made.putalpha(alpha)
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options = {**options, "exif": exif}
    file = io.BytesIO()
    made.save(file, format=form, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none of them."""
    return _png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"")


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of one colour: a small file that is large as an image."""
    lines = zlib.compressobj(9)
    packed = b"".join(lines.compress(bytes(1 + 3 * width)) for _ in range(height)) + lines.flush()
    return _png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), packed)


def _png(header: bytes, data: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(own)) + name + own + struct.pack(">I", zlib.crc32(name + own)) for name, own in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)

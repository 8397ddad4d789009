"""What tasks that hear have in common: the sound tensor, the sounds of a payload, what their models need."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.media import content
from hub2triton.tasks.payload import PayloadError, kind
from hub2triton.tasks.spec import Need, Row, Setting
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from hub2triton.tasks.media import Link

RATES = (1_000, 384_000)
"""The smallest and the largest rate of samples that callers may send as numbers."""

IEEE_FLOAT = 3  # what a WAV file calls samples that are 32-bit floating point numbers
SAMPLE_BYTES = 4

AUDIO = TensorSpec(
    "audio",
    DataType.BYTES,
    (1,),
    "the bytes of one sound file per row: WAV, FLAC, MP3, Ogg, M4A, WebM, AMR or AIFF, of any rate and channels",
)
FEATURES = Need(
    ("preprocessor_config.json", "processor_config.json"),
    "it has no feature extractor (preprocessor_config.json), so it does not read sound",
)
MAX_AUDIO_SECONDS = Setting(
    "max_audio_seconds", "1800", "The longest sound that is read, in seconds; decoding stops there."
)

RATE = {"type": "number", "minimum": RATES[0], "maximum": RATES[1]}
SOUNDS = schema.items(
    schema.either(
        schema.FILE,
        *(
            schema.record({key: schema.array(schema.NUMBER, least=1), "sampling_rate": RATE}, {"path": schema.ANY})
            for key in ("raw", "array")
        ),
    )
)


def row(value: Any, where: str) -> Row:
    """The row of a sound.

    Args:
        value: A file, as `content` takes it; or `{"raw": […], "sampling_rate": n}`, samples of one channel.
        where: What to call the value in an error.

    Raises:
        PayloadError: It is none of these.
    """
    return {"audio": _audio(value, where)}


def _audio(value: Any, where: str) -> bytes | Link:
    if not isinstance(value, dict):
        return content(value, where)
    samples = value.get("raw", value.get("array"))
    if samples is None or value.keys() - {"raw", "array", "sampling_rate", "path"}:
        given = ", ".join(map(repr, list(value)[:8])) or "none"
        raise PayloadError(
            f'{where} must be a sound file\'s bytes in base64, or {{"raw": […], "sampling_rate": 16000}} '
            f"(keys given: {given})"
        )
    return _wave(samples, value.get("sampling_rate"), where)


def _wave(samples: Any, rate: Any, where: str) -> bytes:
    """Samples as a WAV file, so that all sounds come to the model in the same way."""
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
        raise PayloadError(
            f"sampling_rate of {where} must be a number from {RATES[0]:,} to {RATES[1]:,}, not {kind(rate)}"
        )
    if not isinstance(samples, list) or not samples:
        raise PayloadError(f"raw of {where} must be a list of at least one number, not {kind(samples)}")
    if not all(isinstance(sample, int | float) for sample in samples):
        raise PayloadError(f"raw of {where} must hold numbers only: the samples of one channel, from -1 to 1")
    try:
        finite = all(map(math.isfinite, samples))
        data = struct.pack(f"<{len(samples)}f", *samples)
    except OverflowError:
        finite = False
    if not finite:
        raise PayloadError(f"raw of {where} holds numbers that are too large; samples go from -1 to 1")
    rate = round(rate)
    form = struct.pack("<HHIIHH", IEEE_FLOAT, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body

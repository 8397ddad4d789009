"""Sounds out of the bytes of sound files: told by their content, in one channel, at the rate that a model wants."""

from __future__ import annotations

import ctypes
import io
import struct
from typing import TYPE_CHECKING, Any

import av
import av._core as av_core
import numpy as np

from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame

    from .row import Row
    from .settings import Settings

    Array = np.ndarray[Any, Any]

FORMATS = (
    *("wav", "w64", "flac", "mp3", "ogg", "mov", "mp4", "m4a", "matroska", "webm"),
    *("aac", "aiff", "amr", "amrnb", "amrwb", "au", "caf", "asf"),
)
"""The files that are read. FFmpeg knows hundreds more, some of which are lists of other files or addresses to open."""

CODECS = (
    *("flac", "alac", "mp3", "mp3float", "mp2", "mp2float", "aac", "aac_fixed", "vorbis", "libvorbis", "opus"),
    *("libopus", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "wmav1", "wmav2", "ac3", "eac3"),
    *("pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw", "adpcm_ima_wav", "adpcm_ms", "adpcm_ima_qt", "gsm", "gsm_ms"),
    *(f"pcm_{kind}{order}" for kind in ("s16", "s24", "s32", "s64", "f32", "f64") for order in ("le", "be")),
)
"""What decodes them. The pictures and films that some of the files also hold are not looked at."""

OPTIONS = {"format_whitelist": ",".join(FORMATS), "codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"}
"""For FFmpeg. Either of the first and the last alone keeps a body that names files from having them opened."""

EXACT = ("wav", "w64", "flac", "aiff", "mov", "matroska")
"""Files that tell their length in the beginning, without guessing."""

MAX_SECONDS = 1800
"""Where config.pbtxt names no max_audio_seconds."""

RATES = (1_000, 768_000)
"""The smallest and the largest rate of samples: one second at a lower one would become millions of samples."""

LOUDEST = 1e6
"""More than the samples of any sound, also where they were written as whole numbers; not a number is more, too."""

MISSING_S = 0.2
"""By how much a file may be shorter than it says, besides a twentieth."""

WAV_HEADER = 4096
"""Bytes in which a WAV file says how long it is."""

UNKNOWN_SIZE = 0x7FFF_F000

SAMPLE_BYTES = 4
"""Of FP32."""

MAX_ALLOCATION = 256 * 2**20
"""Bytes that FFmpeg may take at once: by a damaged header it would take two gigabytes, and find the file too short."""

ctypes.CDLL(av_core.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION))  # PyAV itself has no name for it

SEND = "send the whole file as WAV, FLAC, MP3, Ogg, M4A or WebM"


class AudioReader:
    """Reads the sounds of requests, at the rate of a model."""

    def __init__(self, settings: Settings, rate: int) -> None:
        self.rate = rate
        self.max_seconds = settings.positive("max_audio_seconds", MAX_SECONDS)

    def read(self, row: Row, name: str = "audio") -> Array:
        """The sound of a row, as `decode` gives it."""
        return decode(row.raw(name), self.rate, self.max_seconds)


def decode(content: bytes, rate: int, max_seconds: int = MAX_SECONDS) -> Array:
    """A sound as `ffmpeg -ac 1 -ar RATE -f f32le` gives it: transformers' pipelines read files with it.

    Args:
        content: The bytes of a file.
        rate: Samples in a second of the result.
        max_seconds: A longer sound is refused once so much of it was decoded.

    Returns:
        FP32 [samples]. Mostly from -1 to 1; two channels that hold the same are louder by the root of 2, as FFmpeg
        mixes them.

    Raises:
        InvalidInput: It is no sound, has no samples, is damaged or cut short, or longer than `max_seconds`.
    """
    try:
        samples, declared = _read(content, rate, max_seconds)
    except (av.error.FFmpegError, EOFError, MemoryError):  # the last where a frame would be larger than it may
        raise InvalidInput(f"the bytes are no sound file that can be read; {SEND}") from None
    held = len(samples) / rate
    if not held:
        raise InvalidInput(f"the file holds 0 seconds of sound; {SEND}")
    if held < declared * 0.95 - MISSING_S:
        raise InvalidInput(f"the file is cut short: it holds {held:.1f} of its {declared:.1f} seconds; {SEND}")
    if not (np.abs(samples) < LOUDEST).all():
        raise InvalidInput("the sound holds samples that are no numbers, or far too large; send samples from -1 to 1")
    return samples


def _read(content: bytes, rate: int, max_seconds: int) -> tuple[Array, float]:
    """The samples of a file, and how many seconds it says that they are, or 0."""
    samples = bytearray()  # which grows in place, and is given back whole: many small arrays would leave holes
    # Titles and the like are nothing to us, whatever they are written in.
    with av.open(io.BytesIO(content), container_options=OPTIONS, metadata_errors="replace") as container:
        if not container.streams.audio:
            raise InvalidInput(f"the file holds no sound; {SEND}")
        stream = container.streams.audio[0]
        declared = max(_declared_s(container, stream), _wav_s(content, stream))
        if declared > max_seconds:  # by its rate, which is looked at first: one that is no rate makes every sound long
            _check_rate(stream.codec_context.sample_rate)
        _check_length(declared, max_seconds)
        for part in _resampled(_frames(container, stream), rate):
            samples += part.tobytes()
            _check_length(len(samples) / SAMPLE_BYTES / rate, max_seconds)
    return np.frombuffer(samples, np.float32), declared


def _check_rate(rate: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise InvalidInput(f"the sound has {rate} samples a second; send one of {RATES[0]:,} to {RATES[1]:,}")


def _check_length(seconds: float, most: int) -> None:
    if seconds > most:
        raise InvalidInput(
            f"the sound is longer than {most} seconds, which is what this model takes (max_audio_seconds in "
            "config.pbtxt); send it in parts"
        )


def _frames(container: Any, stream: Any) -> Iterator[AudioFrame]:
    """The decoded frames; what cannot be decoded between them is passed over, as players do."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _resampled(frames: Iterator[AudioFrame], rate: int) -> Iterator[Array]:
    """One channel of samples at another rate: FP32 [samples] for each frame, and the rest in the end."""
    resampler = None
    form = None
    for frame in frames:
        _check_rate(frame.sample_rate)
        frame.pts = None  # samples follow each other, whatever the file says of times
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or now != form:  # some streams change on the way
            if resampler is not None:
                yield from _arrays(resampler.resample(None))
            resampler, form = av.AudioResampler(format="flt", layout="mono", rate=rate), now
        yield from _arrays(resampler.resample(frame))
    if resampler is not None:
        yield from _arrays(resampler.resample(None))


def _arrays(frames: list[AudioFrame]) -> Iterator[Array]:
    for frame in frames:
        yield frame.to_ndarray().reshape(-1)


def _declared_s(container: Any, stream: Any) -> float:
    """The seconds of sound that the file says it holds; 0 where it does not, or only by guessing."""
    if container.format.name.split(",")[0] not in EXACT:
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return 0.0


def _wav_s(content: bytes, stream: Any) -> float:
    """The seconds that a WAV file says it holds, where it holds less: FFmpeg then tells what is there.

    Programs that write to a pipe cannot know the length, and say that it is 0, or the largest there is.
    """
    place = content.find(b"data", 0, WAV_HEADER) if content.startswith(b"RIFF") else -1
    if place < 0 or not stream.codec_context.bit_rate:
        return 0.0
    (size,) = struct.unpack("<I", content[place + 4 : place + 8].ljust(4, b"\0"))
    if size <= len(content) - place - 8 or size >= UNKNOWN_SIZE:
        return 0.0
    return float(size * 8 / stream.codec_context.bit_rate)

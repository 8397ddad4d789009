"""Sound files become what the speech models read: the known signal, whatever the file; and nothing else is opened."""

from __future__ import annotations

import ctypes
import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests import media

from hf_runtime import audio
from hf_runtime.error import InvalidInput

RATES = {"opus": 48_000, "webm": 48_000, "amr": 8_000}
LOSS = {"wav-8": 0.01, "wav-mulaw": 0.03, "mp3": 0.05, "ogg": 0.02, "opus": 0.03, "webm": 0.03}
LOSS |= {"m4a": 0.03, "aac": 0.03, "amr": 0.12}
"""How far a sample may be from the one that was encoded; the others keep 16 bits."""

MIXED = 2**0.5
"""How much louder FFmpeg makes two equal channels where it mixes them to one."""

INOTIFY_OPEN = 0x20


def refusal(content: bytes, max_seconds: int = 60) -> str:
    with pytest.raises(InvalidInput) as caught:
        audio.decode(content, 16_000, max_seconds)
    return str(caught.value)


def error(found: media.Array, wanted: media.Array) -> float:
    """The largest difference, the ends apart, at the best place: some codecs put silence before the sound."""
    inner = wanted[1_000:9_000]
    places = range(1_000, min(2_200, len(found) - len(inner)))
    return min(float(np.abs(found[place : place + len(inner)] - inner).max()) for place in places)


@pytest.mark.parametrize("kind", media.SOUND_FILES)
def test_every_kind_of_file_gives_the_signal(kind: str) -> None:
    rate = RATES.get(kind, 44_100)
    sound = media.tone(1.0, rate)
    channels = sound if kind == "amr" else np.stack([sound, sound])
    found = audio.decode(media.sound_file(channels, rate, kind), 16_000)
    assert found.dtype == np.float32
    assert found.ndim == 1
    assert len(found) == pytest.approx(16_000, abs=800)
    assert error(found, media.tone(1.0) * (1 if kind == "amr" else MIXED)) < LOSS.get(kind, 1e-3)


def test_the_signal_of_another_pitch_is_another() -> None:
    found = audio.decode(media.sound_file(media.tone(1.0, 44_100, 500.0), 44_100), 16_000)
    assert error(found, media.tone(1.0)) > 0.3


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("wanted", [16_000, 48_000])
def test_any_rate_becomes_the_models(rate: int, wanted: int) -> None:
    found = audio.decode(media.sound_file(media.tone(1.5, rate), rate), wanted)
    assert len(found) == pytest.approx(1.5 * wanted, abs=2)
    assert error(found, media.tone(1.5, wanted)) < 1e-3


@pytest.mark.parametrize("kind", ["wav-float", "flac"])
def test_samples_at_the_models_rate_stay_as_they_are(kind: str) -> None:
    sound = media.voice(1.0)
    assert audio.decode(media.sound_file(sound, kind=kind), 16_000) == pytest.approx(sound, abs=1e-4)


def test_two_channels_are_mixed() -> None:
    left, right = media.tone(1.0), media.tone(1.0, hertz=700.0)
    found = audio.decode(media.sound_file(np.stack([left, right]), kind="wav-float"), 16_000)
    assert found == pytest.approx((left + right) / MIXED, abs=1e-4)


def test_the_sound_of_a_film_is_read_without_its_pictures() -> None:
    found = audio.decode(film(sound=True), 16_000)
    assert error(found, media.tone(1.0)) < LOSS["opus"]
    assert "the file holds no sound; send" in refusal(film(sound=False))
    assert "mpeg4" not in audio.CODECS


def film(*, sound: bool) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        pictures = container.add_stream("mpeg4", rate=5)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        stream = container.add_stream("libopus", rate=48_000, layout="mono") if sound else None
        for shade in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade * 40, np.uint8), format="rgb24")
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        if stream is not None:
            frame = av.AudioFrame.from_ndarray(media.tone(1.0, 48_000)[None], format="fltp", layout="mono")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return file.getvalue()


# ---- what is refused


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5_000, b"\xff\xd8\xff\xe0" + b"\0" * 3_000, b"RIFF"])
def test_what_is_no_sound_file(content: bytes) -> None:
    assert refusal(content).startswith("the bytes are no sound file that can be read; send the whole file as WAV")


@pytest.mark.parametrize("kind", media.SOUND_FILES)
def test_a_file_cut_short_is_refused_or_read_as_far_as_it_goes(kind: str) -> None:
    """Containers that tell no length, as those made for streams, cannot be known to be cut."""
    rate = RATES.get(kind, 44_100)
    content = media.sound_file(media.voice(6.0, rate), rate, kind)
    half = content[: len(content) // 2]
    if kind in ("mp3", "ogg", "opus", "webm", "aac", "amr", "caf"):
        assert 0.5 < len(audio.decode(half, 16_000)) / 16_000 < 4
    else:
        assert "send the whole file" in refusal(half)
        assert "cut short: it holds" in refusal(half) or kind in ("m4a", "alac")


def test_a_wav_file_of_no_samples_or_of_odd_ones() -> None:
    assert "holds 0 seconds of sound" in refusal(wav(length=0)[: wav().index(b"data") + 8])
    assert "samples that are no numbers" in refusal(
        media.sound_file(np.full(9_000, np.nan, np.float32), kind="wav-float")
    )
    assert "or far too large" in refusal(media.sound_file(np.full(9_000, 1e30, np.float32), kind="wav-float"))
    content = wav()
    place = content.index(b"fmt ") + 12
    assert "has 1 samples a second" in refusal(content[:place] + struct.pack("<I", 1) + content[place + 4 :])


def test_texts_in_a_file_may_be_in_any_encoding() -> None:
    file = media.sound_file(media.tone(0.5), kind="m4a")
    brand = file.index(b"isomiso2")
    found = audio.decode(file[: brand + 4] + b"\xf3" + file[brand + 5 :], 16_000)
    assert np.array_equal(found, audio.decode(file, 16_000))


TAKEN = """
import resource, sys
from hf_runtime import audio, error
def taken():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = taken()
try:
    audio.decode(sys.stdin.buffer.read(), 16_000)
except error.InvalidInput as refusal:
    print((taken() - before) // 1024, refusal)
"""
"""Prints the MiB that a file made a process take, and why the file was refused."""


def test_a_header_that_names_a_huge_size_takes_no_memory() -> None:
    file = media.sound_file(media.tone(0.5))
    place = file.index(b"LIST") + 4
    bad = file[:place] + struct.pack("<I", 0x8000_001A) + file[place + 4 :]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", TAKEN]
    done = subprocess.run(command, input=bad, capture_output=True, check=True, env=environment)
    taken, _, refusal = done.stdout.decode().partition(" ")
    assert int(taken) < 400
    assert "no sound file" in refusal


@pytest.mark.parametrize("length", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_file_written_to_a_pipe_does_not_know_its_length(length: int) -> None:
    assert len(audio.decode(wav(length), 16_000)) == 16_000


def wav(length: int | None = None) -> bytes:
    """One second; its header may be made to say another length."""
    content = media.sound_file(media.tone(1.0))
    if length is None:
        return content
    place = content.index(b"data") + 4
    size = struct.pack("<I", length)
    return content[:4] + size + content[8:place] + size + content[place + 4 :]


@pytest.mark.parametrize(("kind", "decoded_s"), [("flac", 0), ("ogg", 60), ("mp3", 60)])
def test_decoding_stops_at_the_limit(kind: str, decoded_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence takes next to nothing in a file, and 64 KB a second as samples. What tells its length is not begun."""
    content = media.sound_file(np.zeros(16_000 * 600, np.float32), kind=kind)
    decoded = 0.0
    frames = audio._frames

    def counted(*given: Any) -> Iterator[Any]:
        nonlocal decoded
        for frame in frames(*given):
            decoded += frame.samples / frame.sample_rate
            yield frame

    monkeypatch.setattr(audio, "_frames", counted)
    told = refusal(content)
    assert "longer than 60 seconds" in told
    assert "max_audio_seconds in config.pbtxt" in told
    assert decoded == pytest.approx(decoded_s, abs=1)


def test_a_sound_as_long_as_the_limit_is_taken() -> None:
    assert len(audio.decode(media.sound_file(np.zeros(16_000 * 60, np.float32), kind="flac"), 16_000, 60)) == 960_000


def opened(path: Path, act: Callable[[], object]) -> bool:
    """Whether a file is opened meanwhile, as the kernel tells."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, bytes(path), INOTIFY_OPEN) >= 0
    try:
        act()
        try:
            return bool(os.read(watch, 4_096))
        except BlockingIOError:
            return False
    finally:
        os.close(watch)


@pytest.mark.parametrize(
    "body",
    [
        "ffconcat version 1.0\nfile '{name}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD><Period><BaseURL>file://{path}</BaseURL></Period></MPD>',
    ],
    ids=["concat", "hls", "hls-file", "sdp", "dash"],
)
def test_files_that_a_body_names_are_not_opened(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav())
    monkeypatch.chdir(tmp_path)
    content = body.format(name=secret.name, path=secret).encode()
    assert not opened(secret, lambda: refusal(content))


@pytest.mark.parametrize("options", [{}, {"format_whitelist": ""}, {"protocol_whitelist": ""}])
def test_either_list_of_what_is_allowed_keeps_files_closed(
    options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav())
    monkeypatch.chdir(tmp_path)
    allowed = {name: audio.OPTIONS[name] for name in options}

    def read() -> None:
        try:
            with av.open(io.BytesIO(b"ffconcat version 1.0\nfile 'secret.wav'\n"), container_options=allowed) as found:
                list(found.decode(audio=0))
        except av.error.FFmpegError:
            pass

    assert opened(secret, read) == (not options)  # FFmpeg by itself does open it

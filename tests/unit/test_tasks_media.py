"""Files in payloads: base64 in all its spellings, data URLs, links, and what is none of them."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import pytest
from PIL import Image

from hub2triton.tasks import sample
from hub2triton.tasks.media import Link, content
from hub2triton.tasks.payload import PayloadError

DATA = bytes(range(256))
PLAIN = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "value",
    [
        DATA,
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(DATA).decode(),
        base64.encodebytes(DATA).decode(),
        f"data:image/png;base64,{PLAIN}",
        f"DATA:;BASE64,{PLAIN}",
        f"data:audio/webm;codecs=opus;base64,{PLAIN}",
    ],
)
def test_every_spelling_of_bytes(value: Any) -> None:
    assert content(value, "it") == DATA


@pytest.mark.parametrize("url", ["http://example.org/a.png", "https://example.org/a.png?x=1", "HTTPS://EXAMPLE.ORG"])
def test_a_link_is_kept_as_one(url: str) -> None:
    assert content(url, "it") == Link(url)


@pytest.mark.parametrize(
    "value",
    ["./image.png", "C:\\image.png", "file:///etc/hosts", "ftp://example.org/a", "Grüße", "data:text/plain,hello", "a"],
)
def test_other_strings_are_refused_with_what_to_do(value: str) -> None:
    with pytest.raises(PayloadError, match="base64") as caught:
        content(value, '"inputs"')
    assert caught.value.status == 400


@pytest.mark.parametrize(("value", "says"), [(None, "null"), (3, "the number 3"), ({}, "an object"), ([], "a list")])
def test_what_is_no_string_is_refused(value: Any, says: str) -> None:
    with pytest.raises(PayloadError, match=f"not {says}"):
        content(value, '"inputs"')


@pytest.mark.parametrize("value", ["", b"", "data:image/png;base64,", " \n"])
def test_nothing_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError, match="is empty"):
        content(value, '"inputs"')


def test_the_sample_picture_is_one() -> None:
    with Image.open(io.BytesIO(base64.b64decode(sample.picture()))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (32, 32), "RGB")
        assert image.getpixel((31, 0)) == (248, 0, 128)


def test_the_sample_sound_is_one() -> None:
    with wave.open(io.BytesIO(base64.b64decode(sample.sound()))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (8000, 1, 2000)

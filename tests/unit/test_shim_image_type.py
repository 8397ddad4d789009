"""Images in the format that a caller accepts."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from hub2triton.shim import image_type, transport
from hub2triton.tasks.media import MediaAnswer


def png(mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    colour = {"RGB": (10, 200, 30), "RGBA": (10, 200, 30, 128), "L": 77}[mode]
    Image.new(mode, (12, 7), colour).save(stream, format="PNG")  # type: ignore[arg-type]
    return stream.getvalue()


ANSWER = MediaAnswer(png(), "image/png", json="x")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("media_type", image_type.FORMATS)
async def test_an_image_comes_in_the_format_that_is_accepted(media_type: str, mode: str) -> None:
    found = await image_type.fitted(MediaAnswer(png(mode), "image/png", json="x"), media_type)
    response = transport.response(found, media_type)
    assert response.headers["content-type"] == media_type
    image = Image.open(io.BytesIO(response.body))
    assert (image.format, image.size) == (image_type.FORMATS[media_type], (12, 7))
    wanted = Image.open(io.BytesIO(png(mode))).convert("RGB").getpixel((5, 5))
    near = image.convert("RGB").getpixel((5, 5))
    assert isinstance(near, tuple)
    assert isinstance(wanted, tuple)
    assert all(abs(one - other) <= 4 for one, other in zip(near, wanted, strict=True))


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "image/*", "image/png", "text/html", "image/png, image/webp", "image/webp;q=0.5, image/png", "x"],
)
async def test_png_stays_where_nothing_is_better(accept: str) -> None:
    assert await image_type.fitted(ANSWER, accept) is ANSWER


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("image/avif,image/webp,image/apng,*/*;q=0.8", "image/webp"),  # browsers
        ("image/png;q=0.5, IMAGE/JPEG", "image/jpeg"),
        ("image/*;q=0.1, image/gif", "image/gif"),
        ("application/json;q=0.5, image/bmp", "image/bmp"),
    ],
)
async def test_the_best_that_can_be_made_is_made(accept: str, media_type: str) -> None:
    found = await image_type.fitted(ANSWER, accept)
    assert isinstance(found, MediaAnswer)
    assert transport.response(found, accept).headers["content-type"] == media_type


@pytest.mark.parametrize("accept", ["application/json", "application/json, image/webp;q=0.5"])
async def test_nothing_is_converted_for_who_wants_json(accept: str) -> None:
    assert await image_type.fitted(ANSWER, accept) is ANSWER


async def test_what_is_no_image_is_left_as_it_is() -> None:
    sound = MediaAnswer(b"RIFF", "audio/wav", json="x")
    assert await image_type.fitted(sound, "image/jpeg") is sound
    labels = [{"label": "a"}]
    assert await image_type.fitted(labels, "image/jpeg") is labels

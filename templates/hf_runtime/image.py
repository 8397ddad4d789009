"""Images out of the bytes of image files: told by their content, upright, in RGB, and of a size that can be handled."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .error import InvalidInput

if TYPE_CHECKING:
    from .row import Row
    from .settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "PPM")
"""What is read; Pillow knows more, of which some start other programs, or hide large images behind small headers."""

MAX_PIXELS = 50_000_000
"""Where config.pbtxt names no max_image_pixels."""

MAX_RATIO = 100
"""How much longer one side may be than the other: models that keep proportions make the shorter one hundreds of pixels
long, and a thin line becomes a huge image."""

WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of 16-bit grey: it would cut them at 255 instead of scaling them."""

Image.MAX_IMAGE_PIXELS = None  # the limit here is the operator's
Image.init()  # loads what reads all these formats, now rather than in several threads at once


class ImageReader:
    """Reads the images of requests."""

    def __init__(self, settings: Settings) -> None:
        self.max_pixels = settings.positive("max_image_pixels", MAX_PIXELS)

    def read(self, row: Row, name: str = "image") -> Image.Image:
        """The image of a row, as `decode` gives it."""
        return decode(row.raw(name), self.max_pixels)


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image as people see it: turned as its EXIF data say, in RGB; the first one of an animation.

    Transparent pixels keep the colour that they have in the file, as in transformers' own image loading.

    Raises:
        InvalidInput: It is no image, is cut short, has more pixels than `max_pixels`, or is a mere line.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            # The header tells it: nothing is decoded yet.
            _check_size(*image.size, max_pixels)
            image.load()
            return _rgb(_upright(image))
    except InvalidInput:
        raise
    except UnidentifiedImageError:
        raise InvalidInput("the bytes are no image; send one as JPEG, PNG, WebP, GIF, BMP or TIFF") from None
    except Exception as error:  # Pillow's decoders raise all kinds for damaged files
        raise InvalidInput(f"the image is damaged or cut short ({error}); send the whole file") from None


def encode(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG."""
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of all kinds: damaged EXIF data do no harm to the pixels
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in WIDE_MODES:
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InvalidInput(
            f"the image has {width} x {height} pixels; this model takes at most {max_pixels:,} pixels "
            "(max_image_pixels in config.pbtxt); send a smaller one"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise InvalidInput(
            f"the image has {width} x {height} pixels; one side may be at most {MAX_RATIO} times as long as the other"
        )

"""Images in the format that a caller accepts: models answer with PNG."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from hub2triton.shim.transport import quality
from hub2triton.tasks.media import MediaAnswer

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Json

PNG = "image/png"
FORMATS = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/webp": "WEBP",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/gif": "GIF",
}
"""Media types besides PNG's, and Pillow's names of them."""

OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}
"""Better than Pillow's defaults, which are made for web pages."""

WITHOUT_TRANSPARENCY = ("JPEG", "BMP")


async def fitted(answer: Json | MediaAnswer, accept: str) -> Json | MediaAnswer:
    """An answer, its image in the format that the caller likes best; PNG stays where nothing is better.

    Args:
        answer: Anything but an image of PNG is left as it is.
        accept: The request's header; empty where there is none.
    """
    if not isinstance(answer, MediaAnswer) or answer.type != PNG:
        return answer
    best = max((PNG, *FORMATS), key=lambda media_type: quality(accept, media_type))  # of equal ones the first
    if best == PNG or quality(accept, best) < quality(accept, "application/json"):
        return answer
    return replace(answer, content=await asyncio.to_thread(converted, answer.content, best), type=best)


def converted(png: bytes, media_type: str) -> bytes:
    """A PNG in another of the FORMATS; it takes as long as the image is large."""
    name = FORMATS[media_type]
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        found = image.convert("RGB") if name in WITHOUT_TRANSPARENCY else image
        stream = io.BytesIO()
        found.save(stream, format=name, **OPTIONS.get(name, {}))
    return stream.getvalue()

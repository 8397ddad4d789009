"""Images, sounds and other files in a payload: their bytes, and answers that are bytes themselves."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.payload import PayloadError, kind

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Json

DATA_URL = re.compile(r"data:[^,]*,", re.IGNORECASE)
LINK = re.compile(r"https?://", re.IGNORECASE)
URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Link:
    """The address of a file, in place of its content; whether it is followed is for the server to say."""

    url: str


@dataclass(frozen=True)
class MediaAnswer:
    """An answer that is a file, for callers who take one; for the others it has a form in JSON.

    Attributes:
        type: The content's media type, such as image/png.
        json: What a caller gets who asks for JSON; without it, the file.
        prefers_json: What a caller gets who takes both: the JSON, or (default) the file.
    """

    content: bytes
    type: str
    json: Json | None = None
    prefers_json: bool = False


def content(value: Any, where: str) -> bytes | Link:
    """The bytes that a value of a payload stands for, or the link to them.

    Args:
        value: The bytes of a body that is no JSON; or a string: base64 in any common spelling, a data URL, or an
            address. The name of a file is never opened, whatever it looks like.
        where: What to call the value in an error.

    Raises:
        PayloadError: It is none of these, or empty.
    """
    if isinstance(value, bytes):
        found: bytes | Link = value
    elif not isinstance(value, str):
        raise PayloadError(f"{where} must be a file's bytes in base64, not {kind(value)}")
    elif LINK.match(value):
        found = Link(value)
    else:
        found = _decoded(value, where)
    if found == b"":
        raise PayloadError(f"{where} is empty; send the bytes of a file")
    return found


def base64_of(data: bytes) -> str:
    """Bytes as JSON can hold them."""
    return base64.b64encode(data).decode()


def _decoded(value: str, where: str) -> bytes:
    data_url = DATA_URL.match(value)
    if data_url and not data_url.group().lower().endswith(";base64,"):
        raise PayloadError(f"{where} is a data URL without base64; write it as data:TYPE;base64,…")
    text = "".join((value[data_url.end() :] if data_url else value).split()).rstrip("=").translate(URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):  # the latter for characters beyond ASCII
        raise PayloadError(
            f"{where} is not base64; send the file itself as the request's body, its bytes in base64, or a data URL "
            "(names of files are not opened)"
        ) from None

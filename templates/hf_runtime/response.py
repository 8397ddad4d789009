"""What the code of a model gave, as the bytes of an HTTP response."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Any

from PIL import Image

from .image import encode

JSON = "application/json"
IMAGE_IN_JSON = f"{JSON}; of=image/png"
"""A single image, in base64: an HTTP server can give the PNG itself to who asks for one."""

BINARY = "application/octet-stream"
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[ -~]*)?", re.ASCII)
PAIR = 2


@dataclasses.dataclass(frozen=True)
class Response:
    """The body of a response.

    Attributes:
        type: Its media type.
    """

    content: bytes
    type: str


def of(value: Any) -> Response:
    """A response with a value: bytes as they are, also with their media type behind them; anything else as JSON.

    Raises:
        TypeError: JSON cannot hold the value; the text names its type.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return Response(bytes(value), BINARY)
    if isinstance(value, tuple) and len(value) == PAIR and isinstance(value[0], bytes) and isinstance(value[1], str):
        if not MEDIA_TYPE.fullmatch(value[1]):
            raise TypeError(f"its code gave bytes as {value[1]!r}, which is no media type such as audio/wav")
        return Response(*value)
    return Response(_written(plain(value)), IMAGE_IN_JSON if isinstance(value, Image.Image) else JSON)


def plain(value: Any) -> Any:
    """A value made of what JSON has: numbers, texts, lists and objects.

    Arrays and tensors become lists, images PNG in base64, and numbers that JSON does not have null.

    Raises:
        TypeError: There is nothing like it in JSON.
    """
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return _other(value)


def _key(value: Any) -> str:
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found)


def _written(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, for which JSON has an escape
        return json.dumps(value, allow_nan=False).encode()


def _other(value: Any) -> Any:
    if isinstance(value, Image.Image):
        return base64.b64encode(encode(value)).decode()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if hasattr(value, "detach"):  # a tensor of torch, which may be on a GPU
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"its code gave a {type(value).__name__}, which JSON cannot hold; give lists and objects")

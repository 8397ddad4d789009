"""What a request's body holds: JSON, a file or a text. The bytes tell: clients often name no type, or a wrong one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from hub2triton.shim.failure import Invalid
from hub2triton.tasks.payload import kind
from hub2triton.tasks.spec import Media

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

JSON_BEGINS = (b"{", b"[", b'"')
TRAILING_COMMA = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*(?:"|$))|,(?=\s*[}\]])', re.DOTALL)
"""A comma before a closing bracket, or a string, which may hold the same."""

MARK = b"\xef\xbb\xbf"  # with which some editors begin a file of UTF-8
UNSUPPORTED = 415


def content(body: bytes, content_type: str, spec: TaskSpec) -> Any:
    """The body as the JSON it holds, or as the JSON object that it stands for.

    Args:
        body: Not empty.
        content_type: What the caller says it is.
        spec: The task it is for.

    Returns:
        A JSON value; a file becomes `{"inputs": bytes}` and a plain text `{"inputs": text}`.

    Raises:
        Invalid: It is none of these, or not what the task takes (400 or 415).
    """
    declared = content_type.partition(";")[0].strip().lower()
    is_json = declared in ("application/json", "text/json") or declared.endswith("+json")
    if spec.media is Media.ANY and not is_json:
        found = _json_or_none(body)
        return {"inputs": body} if found is None else found
    if is_json or body.lstrip(MARK).lstrip().startswith(JSON_BEGINS):
        return _json(body)
    if spec.media is not None:
        return {"inputs": body}
    if declared.startswith("text/"):
        return {"inputs": _text(body)}
    if declared.startswith(("image/", "audio/", "video/")):
        raise Invalid(f'{spec.name} takes JSON such as {{"inputs": "…"}}, not {declared}', status=UNSUPPORTED)
    return _json(body)  # whose error says what is wrong


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object, whatever the caller calls it.

    Raises:
        Invalid: It is none.
    """
    found = _json(body)
    if not isinstance(found, dict):
        raise Invalid(f"the body must be a JSON object, not {kind(found)}")
    return found


def _json(body: bytes) -> Any:
    """JSON, or nearly: raw line breaks in strings, trailing commas and NaN, as people and other programs write them."""
    body = body.removeprefix(MARK)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = f'the body is not valid JSON ({error}); send an object such as {{"inputs": "…"}}'
    try:
        text = TRAILING_COMMA.sub(lambda found: found["string"] or "", body.decode())
        found = json.loads(text, strict=False, parse_constant=lambda _: None)
        orjson.dumps(found)  # what no JSON can hold, such as half of a surrogate pair, is no nearly either
    except (ValueError, TypeError, RecursionError):  # the last for endless nesting
        raise Invalid(told) from None
    return found


def _json_or_none(body: bytes) -> Any:
    try:
        found = _json(body)
    except Invalid:
        return None
    return found if isinstance(found, dict) else None


def _text(body: bytes) -> str:
    try:
        return body.removeprefix(MARK).decode()
    except UnicodeDecodeError:
        raise Invalid("the text is not valid UTF-8; send UTF-8, or JSON") from None

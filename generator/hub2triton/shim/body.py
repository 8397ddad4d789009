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
    from collections.abc import Iterable

    from hub2triton.tasks.spec import TaskSpec

JSON_BEGINS = (b"{", b"[", b'"')
TRAILING_COMMA = re.compile(r'(?P<string>"(?:[^"\\]++|\\.)*+(?:"|$))|,(?=\s*+[}\]])', re.DOTALL)
"""A comma before a closing bracket, or a string, which may hold the same. Nothing is tried twice: with places to come
back to, a string of megabytes would take gigabytes."""

DEPTH = 100
"""Lists and objects inside each other; what reads them later takes a step of its stack for each."""

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
        return _shallow(orjson.loads(body), body)
    except orjson.JSONDecodeError as error:
        told = f'the body is not valid JSON ({error}); send an object such as {{"inputs": "…"}}'
        if "limit" in error.msg:
            raise _too_deep() from None
    try:
        text = TRAILING_COMMA.sub(lambda found: found["string"] or "", body.decode())
        found = _shallow(json.loads(text, strict=False, parse_constant=lambda _: None), body)
        orjson.dumps(found)  # what no JSON can hold, such as half of a surrogate pair, is no nearly either
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, TypeError):
        raise Invalid(told) from None
    return found


def _shallow(value: Any, body: bytes) -> Any:
    """The value, if it is not nested too deeply."""
    if body.count(b"[") + body.count(b"{") <= DEPTH:  # so say most bodies, at once
        return value
    level = [value]
    for _ in range(DEPTH):
        level = [item for outer in level for item in _inside(outer)]
        if not level:
            return value
    raise _too_deep()


def _too_deep() -> Invalid:
    return Invalid(f"the body is nested more than {DEPTH} levels deep; send lists and objects with fewer levels")


def _inside(value: Any) -> Iterable[Any]:
    """The lists and objects in a list or an object."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in inner if isinstance(item, dict | list))


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

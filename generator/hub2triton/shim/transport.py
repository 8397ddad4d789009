"""HTTP in and out: a body within its limits, JSON and errors as JSON, and a caller who goes away."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from starlette.responses import Response

from hub2triton.shim.failure import Failure, Invalid
from hub2triton.tasks.media import MediaAnswer

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

Result = TypeVar("Result")

CLOSED_REQUEST = 499
"""What is logged for a caller who went away; nobody receives it."""


async def read(request: Request, limit: int) -> bytes:
    """The request's body.

    Args:
        request: Its body is read here.
        limit: Bytes.

    Raises:
        Invalid: Too large (413), or empty (400).
    """
    too_large = Invalid(f"the body is larger than the limit of {limit:,} bytes", status=413)
    if int(request.headers.get("content-length") or 0) > limit:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_large
    if not body:
        raise Invalid('the body is empty; send a JSON object such as {"inputs": "…"}')
    return bytes(body)


def json_response(content: Any) -> Response:
    """A JSON answer; numpy arrays are written without a detour over lists."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


def response(content: Any, accept: str) -> Response:
    """An answer in the form that the caller accepts: JSON, or the file that it is.

    Args:
        content: A JSON value, or a MediaAnswer.
        accept: The request's header; empty where there is none.
    """
    if not isinstance(content, MediaAnswer):
        return json_response(content)
    if _wants_json(accept, content):
        return json_response(content.json)
    return Response(content.content, media_type=content.type)


def _wants_json(accept: str, answer: MediaAnswer) -> bool:
    """Whether the JSON form suits a caller better than the file; where both are equal, what the answer prefers."""
    as_json, as_file = _quality(accept, "application/json"), _quality(accept, answer.type)
    return answer.prefers_json if as_json == as_file else as_json > as_file


def _quality(accept: str, media_type: str) -> tuple[float, int]:
    """How welcome a media type is to a caller: by the weight given to it, then by how precisely it is named."""
    best = (0.0, 0)
    for part in accept.lower().split(","):
        named, *options = (word.strip() for word in part.split(";"))
        precision = {media_type: 3, f"{media_type.partition('/')[0]}/*": 2, "*/*": 1}.get(named, 0)
        if precision > best[1]:  # the most precise of the ranges that a type falls into is the one that counts
            weights = [option.removeprefix("q=") for option in options if option.startswith("q=")]
            best = (_weight(weights[0]) if weights else 1.0, precision)
    return best if best[0] else (0.0, 0)


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def error_response(failure: Failure) -> Response:
    """An error as the clients read it: an object with `error`, never chunked."""
    content = {"error": str(failure)}
    if failure.error_type is not None:
        content["error_type"] = failure.error_type
    return Response(
        orjson.dumps(content), status_code=failure.status, headers=failure.headers, media_type="application/json"
    )


def request_id(request: Request) -> str:
    """The caller's own id of the request, or a new one."""
    given = request.headers.get("x-request-id") or request.headers.get("x-amzn-trace-id")
    return given or str(uuid.uuid4())


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Does the work, or cancels it and gives None when the caller closes the connection first.

    The body must have been read: what comes after it can only be the caller's going.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""HTTP in and out: a body within its limits, JSON and errors as JSON, and a caller who goes away."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from starlette.responses import Response

from hub2triton.shim.failure import Failure, Invalid

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

Result = TypeVar("Result")

CLOSED_REQUEST = 499
"""What is logged for a caller who went away; nobody receives it."""


async def read_json(request: Request, limit: int) -> Any:
    """The request's body as JSON, whatever content type it claims: `curl -d` claims a form.

    Args:
        request: Its body is read here.
        limit: Bytes.

    Raises:
        Invalid: Too large (413), or not JSON (400).
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
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f'the body is not valid JSON ({error}); send an object such as {{"inputs": "…"}}') from None


def json_response(content: Any) -> Response:
    """A JSON answer; numpy arrays are written without a detour over lists."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


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

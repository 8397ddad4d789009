"""HTTP in and out: a body within its limits, JSON and errors as JSON, and a caller who goes away."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from starlette.responses import Response

from hub2triton.shim.failure import Failure, Invalid
from hub2triton.tasks.media import MediaAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.requests import Request

Result = TypeVar("Result")

CLOSED_REQUEST = 499
"""What is logged for a caller who went away; nobody receives it."""


AUTO_HEADER = 32
"""Added to zlib's window bits, it takes gzip's header as well as zlib's own."""

WORTH_PACKING = 1024
"""Bytes of a response from which on compressing it saves more than a header costs."""


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
    unpack = _unpacking(request.headers.get("content-encoding", "identity").strip().lower())
    body = bytearray()
    async for part in request.stream():
        try:
            body += unpack(part, limit + 1 - len(body))
        except zlib.error:
            raise Invalid("the body is not compressed as its content-encoding says") from None
        if len(body) > limit:
            raise too_large
    if not body:
        raise Invalid('the body is empty; send a JSON object such as {"inputs": "…"}')
    return bytes(body)


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes]:
    """What makes the body of its parts, and stops at a number of bytes: a small body may hold a very large one."""
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | AUTO_HEADER).decompress
    if encoding in ("identity", ""):
        return lambda part, _: part
    raise Invalid(f"content-encoding {encoding!r} is not known here; send gzip, deflate or none", status=415)


async def packed(response: Response, accept_encoding: str, level: int) -> Response:
    """The response, compressed where the caller takes that and it is worth it.

    Args:
        response: Of JSON; other media types are compressed already.
        accept_encoding: The request's header.
        level: Of gzip, 1 to 9; 0 leaves every response as it is.
    """
    worth_it = len(response.body) >= WORTH_PACKING and response.media_type == "application/json"
    if not level or not worth_it or not quality(accept_encoding, "gzip")[0]:
        return response
    body = await asyncio.to_thread(gzip.compress, bytes(response.body), level, mtime=0)
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(body, response.status_code, headers, media_type=response.media_type)


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
    if content.json is not None and _wants_json(accept, content):
        return json_response(content.json)
    return Response(content.content, media_type=content.type)


def _wants_json(accept: str, answer: MediaAnswer) -> bool:
    """Whether the JSON form suits a caller better than the file; where both are equal, what the answer prefers."""
    as_json, as_file = quality(accept, "application/json"), quality(accept, answer.type)
    return answer.prefers_json if as_json == as_file else as_json > as_file


def quality(accept: str, media_type: str) -> tuple[float, int]:
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


def error_response(failure: Failure, path: str = "", more: Mapping[str, Any] | None = None) -> Response:
    """An error as the clients read it: a JSON object with `error`, never chunked.

    Args:
        failure: What is told.
        path: Of the request. Below /v1/ the error has OpenAI's form, with the text at the root too, which is the
            only place where some of its clients look for it.
        more: What else stands in the object.
    """
    content: dict[str, Any] = {"error": str(failure), **(more or {})}
    if failure.error_type is not None:
        content["error_type"] = failure.error_type
    if path.startswith("/v1/"):
        kind = failure.error_type or "server_error"
        error = {"message": str(failure), "type": kind, "param": None, "code": failure.status}
        content = {"error": error, "message": str(failure)}
    return Response(
        orjson.dumps(content), status_code=failure.status, headers=failure.headers, media_type="application/json"
    )


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
        # An error's traceback holds this frame, which would hold the error: a circle that only the garbage collector
        # ends. Hundreds of refusals a second made it stop everything for 0.2 s every few seconds.
        del task, gone


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

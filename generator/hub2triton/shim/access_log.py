"""A line of JSON for each request that was answered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, BinaryIO

from starlette.datastructures import Headers

from hub2triton.log_line import Severity, line
from hub2triton.shim import redaction, request_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hub2triton.shim.failure import Failure

REFUSED = 400
FAILED = 500

LONGEST_PATH = 200
"""Characters."""


class AccessLog:
    """Writes down who asked what, and how that went; never what was asked, nor with which key.

    Headers and queries stay out of it: the one may hold keys, and the other parameters.
    """

    def __init__(self, app: ASGIApp, stream: BinaryIO, quiet: Collection[str]) -> None:
        """Logs the requests to an application.

        Args:
            app: It may tell more of a request in its state: `model`, `task`, `rows`, `request_id`, `error`.
            stream: Where lines are written to.
            quiet: Paths that are asked every few seconds, and only logged where they answer with an error to a GET.
        """
        self._app = app
        self._stream = stream
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and writes its line once it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, size_in, size_out = FAILED, 0, 0
        state = scope.setdefault("state", {})

        async def received() -> Message:
            nonlocal size_in
            message = await receive()
            size_in += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            nonlocal status, size_out
            status = message.get("status", status)
            size_out += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, received, sent)
        except Exception as error:
            state["failed"] = type(error).__name__
            raise
        finally:
            if status >= REFUSED or scope["method"] not in ("GET", "HEAD") or scope["path"] not in self._quiet:
                sizes = {"bytes_in": size_in, "bytes_out": size_out}
                milliseconds = round((time.perf_counter() - began) * 1000, 3)
                _write(self._stream, status, **_told(scope, status), duration_ms=milliseconds, **sizes)


def refused(stream: BinaryIO, failure: Failure, client: str) -> None:
    """Writes the line of a request that was answered before it was whole.

    Args:
        stream: Where lines are written to.
        failure: What its caller was told.
        client: The caller's address; empty where there is none.
    """
    fields = {"client": client} if client else {}
    _write(stream, failure.status, **fields, error=redaction.redacted(str(failure), failure.status))


def _write(stream: BinaryIO, status: int, **fields: object) -> None:
    severity = Severity.INFO if status < REFUSED else Severity.WARNING if status < FAILED else Severity.ERROR
    try:
        stream.write(line(severity, "shim", "request", **fields, status=status))
        stream.flush()
    except (OSError, ValueError):  # whoever read it has gone, and requests are answered all the same
        return


def _told(scope: Scope, status: int) -> dict[str, object]:
    """What is known of a request, without what is not."""
    state = scope["state"]
    error = state.get("error")
    found = {
        "request_id": state.get("request_id") or request_id.of(Headers(scope=scope)),
        "trace_id": state.get("trace_id"),
        "method": scope["method"],
        "path": scope["path"][:LONGEST_PATH],
        "model": state.get("model"),
        "task": state.get("task"),
        "rows": state.get("rows"),
        "client": scope["client"][0] if scope.get("client") else None,
        "error": redaction.redacted(error, status) if error else state.get("failed"),
    }
    return {name: value for name, value in found.items() if value is not None}

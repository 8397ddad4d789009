"""How much of a request may stand around its body: uvicorn's parser holds headers of any length and number.

What is bounded here needs no request to be whole, and so cannot be told by the application. An error is written as all
other errors are, and the connection is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hub2triton.shim import transport
from hub2triton.shim.failure import Failure, Invalid

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LINGER_S = 1.0
"""How long a refused caller may go on sending: a connection closed at once would take the answer with it."""

QUEUED = 16
"""Requests that may wait on one connection behind the one that is being answered."""

FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that tell where a body ends."""


def _tell_nobody(_failure: Failure, _client: str) -> None:
    """For those who do not want to know."""


@dataclass(frozen=True)
class Limits:
    """What one caller may ask of the server before a request is even read.

    Attributes:
        head_bytes: Of a request line and its headers together; also of what stands around the chunks of a body.
        headers: How many of them.
        url_bytes: Of the path and the query.
        head_s: Seconds from a connection, or from the first byte of a further request, to the end of its headers.
        rest_s: Seconds that a caller may rest, all in all, while it sends a body or reads an answer.
        connections: At the same time.
    """

    head_bytes: int = 64 * 1024
    headers: int = 100
    url_bytes: int = 16 * 1024
    head_s: float = 20.0
    rest_s: float = 60.0
    connections: int = 4096


class Framing(HttpToolsProtocol):
    """uvicorn's connection, with requests whose heads are within limits.

    Attributes:
        limits: As above.
        in_head: Whether what is being received is no body.
        untold: Bytes since the parser last came to the end of anything.
        received: Bytes of the body so far.
        refused: Whether nothing more is taken from this caller.
        receiving: The clock on what the caller sends, while one runs.
    """

    def __init__(
        self, *given: Any, limits: Limits, on_refused: Callable[[Failure, str], None] = _tell_nobody, **more: Any
    ) -> None:
        """Takes uvicorn's own arguments, the limits, and who is told of callers that are refused, by their address."""
        super().__init__(*given, **more)
        self.limits = limits
        self.in_head = True
        self.untold = 0
        self.received = 0
        self.refused = False
        self.receiving: asyncio.TimerHandle | None = None
        self._on_refused = on_refused
        self._reason: Failure | None = None
        self._unanswered: list[RequestResponseCycle] = []

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells all requests that nobody waits for their answers; uvicorn tells the last alone."""
        super().connection_lost(exc)
        self.stop_receiving()
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Parses what has come, in parts that are no larger than what may be held for the parser."""
        self._unset_keepalive_if_required()
        part = self.limits.head_bytes
        for start in range(0, len(data), part):
            if not self.refused:
                self._parse(data if len(data) <= part else data[start : start + part])

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            self._stop(f"the URL is longer than {self.limits.url_bytes:,} bytes; put more of it into the body", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body."""
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers:
            self._stop(f"the request has more than {self.limits.headers} headers; send fewer", 431)
        if self.headers[-1][0] == b"transfer-encoding" and value.lower() != b"chunked":
            self._stop("of transfer-encodings only chunked is known here; send no other", 501)

    def on_headers_complete(self) -> None:
        """A request that can be answered now, or once its turn comes."""
        super().on_headers_complete()
        self._unanswered = [*(cycle for cycle in self._unanswered if not cycle.response_complete), self.cycle]
        self.in_head, self.untold, self.received = False, 0, 0
        self.stop_receiving()
        if len(self.pipeline) > QUEUED:
            self._stop("too many requests wait on one connection; await the answers")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.untold = 0
        self.received += len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """The length of a chunk; trailers come behind the last."""
        self.untold = 0

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self.in_head, self.untold = True, 0
        self.stop_receiving()
        super().on_message_complete()

    def stop_receiving(self) -> None:
        """Ends the clock on what the caller sends."""
        if self.receiving is not None:
            self.receiving.cancel()
            self.receiving = None

    def refuse(self, failure: Failure) -> None:
        """Answers the request that is being received with an error, and closes the connection."""
        self.stop_receiving()
        self.refused = True
        if self.transport.is_closing() or not self._may_answer():
            self.drop()
            return
        if not self.in_head:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_written(failure))
        self._on_refused(failure, self.client[0] if self.client else "")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.receiving = self.loop.call_later(LINGER_S, self.drop)

    def drop(self) -> None:
        """Closes the connection, whatever is on its way."""
        self.refused = True
        self.transport.abort()
        self._leave()

    def _leave(self) -> None:
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def _parse(self, data: bytes) -> None:
        self.untold += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(self._reason or Invalid("this is no valid HTTP request; check the client, or the proxy"))
            return
        if self.untold > self.limits.head_bytes:
            told = f"the headers are longer than {self.limits.head_bytes:,} bytes; send fewer or shorter ones"
            self.refuse(Invalid(told, status=431))

    def _stay(self, rest: bytes) -> None:
        """Answers a request to speak another protocol as if it had not asked for that, which HTTP allows.

        The parser has taken it for a request without a body, so another one reads what is left of it.
        """
        self.cycle.keep_alive = False
        framing = [b": ".join(header) for header in self.headers if header[0] in FRAMING]
        if framing:
            self.cycle.more_body, self.in_head = True, False
            self.parser = httptools.HttpRequestParser(_BodyOnly(self))
            self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"", rest]))

    def _stop(self, message: str, status: int = 400) -> None:
        """Ends the parsing, from inside it."""
        self._reason = Invalid(message, status=status)
        raise ValueError(message)

    def _may_answer(self) -> bool:
        """Whether an answer sent now would be that of the request that is being received, and its only one."""
        if self.in_head:
            return self.cycle is None or self.cycle.response_complete
        return not self.pipeline and not self.cycle.response_started


class _BodyOnly:
    """What a parser tells of a request whose head is known."""

    def __init__(self, connection: Framing) -> None:
        self.on_body = connection.on_body
        self.on_chunk_header = connection.on_chunk_header
        self.on_message_complete = connection.on_message_complete


def _written(failure: Failure) -> bytes:
    """An error as it is sent."""
    response = transport.error_response(failure)
    response.headers["connection"] = "close"
    status = HTTPStatus(failure.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])

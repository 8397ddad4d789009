"""A closed loop of HTTP clients. It shares the cores with the server it loads, so it does as little as it can."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAD_IN_S = 1.0
"""Seconds of load before the counting begins, so that a window holds only what a busy server gives."""

PATIENCE_S = 120.0
"""Seconds after a round's end in which what is still under way must be answered."""

LOOK_EVERY = 50
"""One of so many answers is read in full."""

HEAD_END = b"\r\n\r\n"
GOOD = b"HTTP/1.1 200"


class BadAnswerError(Exception):
    """A server answered something other than what was asked for; the text says what."""


@dataclass(frozen=True)
class Round:
    """What one round of load gave.

    Attributes:
        rate: Requests answered in a second.
        p50_ms: The median time of a request, in milliseconds.
        p99_ms: The time that one request of a hundred takes longer than, in milliseconds.
        load_ms: CPU time that the load itself took for a request, in milliseconds.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    load_ms: float


@dataclass(frozen=True)
class Load:
    """What is sent, and how its answers are judged.

    Attributes:
        port: Of 127.0.0.1.
        route: The path that is posted to.
        bodies: JSON texts; they are sent in turn.
        check: Takes an answer's body and the number of the body it answers; raises BadAnswerError.
    """

    port: int
    route: str
    bodies: Sequence[bytes]
    check: Callable[[bytes, int], None]

    def run(self, *, clients: int, seconds: float) -> Round:
        """Each client sends one body, waits for its answer, and sends the next.

        Args:
            clients: How many there are at once.
            seconds: How long is counted, after a lead-in that is not.

        Raises:
            BadAnswerError: An answer was no 200, or was not what was asked for.
            OSError: The server closed a connection.
            TimeoutError: An answer did not come.
        """
        return uvloop.run(self._run(clients, seconds))

    async def _run(self, clients: int, seconds: float) -> Round:
        loop = asyncio.get_running_loop()
        begins = time.perf_counter() + LEAD_IN_S
        window = _Window(begins, begins + seconds, [])
        turns = itertools.count()
        requests = [self._request(body) for body in self.bodies]
        cpu = time.process_time()
        async with asyncio.timeout(LEAD_IN_S + seconds + PATIENCE_S):
            made = [
                await loop.create_connection(
                    lambda: _Connection(requests, turns, window, self.check), "127.0.0.1", self.port
                )
                for _ in range(clients)
            ]
            try:
                await asyncio.gather(*(connection.done for _, connection in made))
            finally:
                for transport, _ in made:
                    transport.close()
        cpu = time.process_time() - cpu
        times = sorted(window.times)
        if not times:
            raise BadAnswerError("no request was answered within the round; make --seconds larger")
        p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
        sent = next(turns)
        return Round(len(times) / seconds, statistics.median(times) * 1000, p99 * 1000, cpu / sent * 1000)

    def _request(self, body: bytes) -> bytes:
        head = (
            f"POST {self.route} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class _Window:
    """The time that is counted, and the seconds that each request took that ended in it."""

    begins: float
    ends: float
    times: list[float]


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(
        self,
        requests: Sequence[bytes],
        turns: itertools.count[int],
        window: _Window,
        check: Callable[[bytes, int], None],
    ) -> None:
        self._requests, self._turns, self._window, self._check = requests, turns, window, check
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the answer still to come; -1 until its head is there
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # of TCP: a Transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed a connection before it had answered"))

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if self._missing >= 0:
            self._missing -= len(data)
        else:
            head, end, body = b"".join(self._parts).partition(HEAD_END)
            if not end:
                return
            try:
                self._missing = _length(head) - len(body)
            except ValueError:
                self._end(BadAnswerError("the server gives no Content-Length, which this load needs"))
                return
        if self._missing <= 0:
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        if not self._parts[0].startswith(GOOD):
            self._end(BadAnswerError(b"".join(self._parts)[:500].decode(errors="replace")))
            return
        if self._window.begins <= now < self._window.ends:
            self._window.times.append(now - self._began)
        if self._turn % LOOK_EVERY == 0:
            try:
                self._check(b"".join(self._parts).partition(HEAD_END)[2], self._turn % len(self._requests))
            except BadAnswerError as error:
                self._end(error)
                return
        if now < self._window.ends:
            self._send()
        else:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    def _send(self) -> None:
        self._parts, self._missing = [], -1
        self._turn = next(self._turns)
        self._began = time.perf_counter()
        self._write(self._requests[self._turn % len(self._requests)])


def _length(head: bytes) -> int:
    """Of the body, in bytes; 0 of an error that has none."""
    status, _, fields = head.partition(b"\r\n")
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    if not status.startswith(GOOD) and int(status.split()[1]) != HTTPStatus.OK:
        return 0
    raise ValueError("no Content-Length")

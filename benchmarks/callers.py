"""Many callers over HTTP, each asking one thing after the other; what comes of every request is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE_S = 120.0
"""What takes longer has no answer."""

LOST = 0
"""In place of a status, of a request whose connection was refused or broke, or that got no answer in time."""

AGAIN_S = 0.05
"""How long a caller waits whose connection was refused or broke."""

LARGEST_HEAD = 2**20
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """What is posted.

    Attributes:
        target: The path, with its query.
        type: The body's media type; without one, none is told.
    """

    target: str
    body: bytes
    type: str = JSON

    def packed(self) -> bytes:
        """As it goes over the wire."""
        told = f"content-type: {self.type}\r\n" if self.type else ""
        head = f"POST {self.target} HTTP/1.1\r\nhost: localhost\r\n{told}content-length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Attributes:
        request: What was posted.
        status: LOST where no answer came.
        headers: The answer's, in lower case.
        body: The answer's.
        sent: When, in seconds of the monotonic clock.
        ended: When the answer was complete.
    """

    request: Request
    status: int
    headers: bytes
    body: bytes
    sent: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.sent


class Connection:
    """One caller's; it is opened again when it breaks."""

    def __init__(self, port: int, patience: float = PATIENCE_S) -> None:
        """Opens nothing yet."""
        self._port = port
        self._patience = patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> Outcome:
        """Posts a request and waits for its answer, or its loss."""
        sent = time.monotonic()
        status, headers, body = LOST, b"", b""
        try:
            async with asyncio.timeout(self._patience):
                status, headers, body = await self._exchanged(request.packed())
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
            self.close()
        if b"connection: close" in headers:
            self.close()
        return Outcome(request, status, headers, body, sent, time.monotonic())

    def close(self) -> None:
        """Ends the connection."""
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _exchanged(self, packed: bytes) -> tuple[int, bytes, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=LARGEST_HEAD)
        reader, writer = self._streams
        writer.write(packed)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head.split(None, 2)[1]), head, await reader.readexactly(length)


@asynccontextmanager
async def calling(
    port: int,
    callers: int,
    ask: Callable[[int, int], Request],
    seen: Callable[[Outcome], float | None],
) -> AsyncIterator[None]:
    """Keeps callers busy until the end of the block; then what is under way is waited for.

    Args:
        port: Of 127.0.0.1.
        callers: How many there are at once.
        ask: Gives a caller's next request, from the caller's number and its turn.
        seen: Is told of every outcome; it may give the seconds until that caller asks again.
    """
    stop = asyncio.Event()

    async def call(caller: int) -> None:
        connection = Connection(port)
        turn = 0
        while not stop.is_set():
            turn += 1
            outcome = await connection.ask(ask(caller, turn))
            pause = seen(outcome) or (AGAIN_S if outcome.status == LOST else 0)
            if pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
        connection.close()

    tasks = [asyncio.create_task(call(number)) for number in range(callers)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)

"""HTTP as it goes over the wire: requests byte by byte, also such as no client would send."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATIENCE_S = 30.0
"""After which a test gives up on a server that should long have answered."""


@dataclass(frozen=True)
class Answer:
    """One response. A status of 0 is a connection that was closed without any."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The sentence that a caller is told."""
        return str(json.loads(self.body)["error"])


CLOSED = Answer(0, {}, b"")


class Wire:
    """A connection to a port of this machine."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        """Connects; a small buffer for what is received makes the server feel at once that nobody reads."""
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(("127.0.0.1", port))
        self._left = b""

    @property
    def own_port(self) -> int:
        """By which the server knows this connection."""
        return int(self._socket.getsockname()[1])

    def send(self, content: bytes) -> bool:
        """Sends; False where the server has closed the connection."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(content)
            return True
        return False

    def trickle(self, content: bytes, pause_s: float) -> int:
        """Sends byte by byte until the server says something or closes the connection; gives how many went."""
        self._socket.settimeout(pause_s)
        try:
            for index in range(len(content)):
                if not self.send(content[index : index + 1]):
                    return index
                with contextlib.suppress(TimeoutError):
                    self._left += self._socket.recv(65536)
                    return index + 1
        finally:
            self._socket.settimeout(PATIENCE_S)
        return len(content)

    def pour(self, parts: Iterable[bytes]) -> None:
        """Sends part by part, until the server says something or closes the connection."""
        for part in parts:
            if select.select([self._socket], [], [], 0)[0] or not self.send(part):
                return

    def answer(self) -> Answer:
        """The next response; CLOSED where the connection ends before one."""
        while b"\r\n\r\n" not in self._left:
            if not self._more():
                return CLOSED
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._left) < length and self._more():
            pass
        body, self._left = self._left[:length], self._left[length:]
        return Answer(int(first.split()[1]), headers, body)

    def closed(self) -> bool:
        """Waits until the server closes the connection; False where it says something instead."""
        return not self._left and not self._more()

    def close(self) -> None:
        """Leaves."""
        self._socket.close()

    def _more(self) -> bool:
        with contextlib.suppress(ConnectionError):
            part = self._socket.recv(65536)
            self._left += part
            return bool(part)
        return False


@contextlib.contextmanager
def connected(port: int, receive_buffer: int | None = None) -> Iterator[Wire]:
    """A connection for as long as it is needed."""
    wire = Wire(port, receive_buffer)
    try:
        yield wire
    finally:
        wire.close()


def ask(port: int, content: bytes) -> Answer:
    """What one connection gets for some bytes."""
    with connected(port) as wire:
        wire.send(content)
        return wire.answer()


def post(path: str, body: bytes | Any, *headers: str) -> bytes:
    """A correct request; more header lines may follow."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def until(done: Any, what: str) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.01)

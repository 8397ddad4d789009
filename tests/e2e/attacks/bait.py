"""What an attacker would like to reach, watched: a file, and a server on this machine."""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

IN_ACCESS, IN_OPEN = 0x1, 0x20
MARK = "what nobody outside may read"


@dataclass
class File:
    """A file that tells when somebody opens it."""

    path: Path
    _watch: int

    def opened(self) -> bool:
        """Whether somebody has, since the last time this was asked."""
        try:
            return bool(os.read(self._watch, 4096))
        except BlockingIOError:
            return False


@contextmanager
def file(path: Path) -> Iterator[File]:
    """Watches a new file."""
    path.write_text(MARK)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0, os.strerror(ctypes.get_errno())
    assert libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN | IN_ACCESS) >= 0
    found = File(path, watch)
    assert path.read_text() == MARK
    assert found.opened()  # so that a watch that sees nothing is no proof of anything
    try:
        yield found
    finally:
        os.close(watch)


@dataclass
class Site:
    """A server that notes what it is asked."""

    port: int
    asked: list[str] = field(default_factory=list)


@contextmanager
def site() -> Iterator[Site]:
    """Answers on a port of this machine, as an inner service would: of both kinds of addresses, where it has both."""

    class Inner(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(200)
            self.send_header("content-length", str(len(MARK)))
            self.end_headers()
            self.wfile.write(MARK.encode())

        def log_message(self, *_: Any) -> None:
            pass

    servers = _listening(Inner)
    found = Site(servers[0].server_port)
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        for server in servers:
            asked = http.client.HTTPConnection(str(server.server_address[0]), found.port, timeout=30)
            asked.request("GET", "/")
            assert asked.getresponse().read() == MARK.encode()
            asked.close()
        assert found.asked == ["/"] * len(servers)  # as with the file
        found.asked.clear()
        yield found
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _listening(handler: type[BaseHTTPRequestHandler]) -> list[ThreadingHTTPServer]:
    """Servers on one port of both loopback addresses; of the old one alone where the machine has no other."""
    try:
        new = _Server6(("::1", 0), handler)
    except OSError:
        return [ThreadingHTTPServer(("127.0.0.1", 0), handler)]
    try:
        return [ThreadingHTTPServer(("127.0.0.1", new.server_port), handler), new]
    except OSError:  # somebody has this port there
        new.server_close()
        return _listening(handler)

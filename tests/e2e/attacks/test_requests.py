"""Requests that are too large, too slow, too many, or two at once."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress

import psutil
import pytest
from tests.e2e.attacks.conftest import KEY, Target
from tests.wire import CLOSED, Wire, connected, until

pytestmark = pytest.mark.e2e

BODY = json.dumps({"inputs": "a"}).encode()
MIB = 2**20
LIMIT = 64 * MIB


def head(*lines: str) -> bytes:
    key = f"Authorization: Bearer {KEY}"
    return "\r\n".join(["POST /models/embeddings HTTP/1.1", "Host: x", key, *lines, "", ""]).encode("latin-1")


def shim(target: Target) -> psutil.Process:
    """The process of the shim."""
    children = psutil.Process(target.served.process.pid).children(recursive=True)
    return next(child for child in children if "hub2triton.shim" in child.cmdline())


def test_an_oversized_body_is_refused_by_its_length(target: Target) -> None:
    answer = target.ask(head(f"Content-Length: {LIMIT + 1}") + b"x")
    assert answer.status == 413
    assert "67,108,864 bytes" in answer.error


@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
def test_an_oversized_body_in_chunks_is_refused_as_it_comes(target: Target, packing: str) -> None:
    pack = zlib.compressobj(0, wbits={"": -15, "gzip": 31, "deflate": 15}[packing])
    with connected(target.port) as wire:
        wire.send(head("Transfer-Encoding: chunked", *([f"Content-Encoding: {packing}"] if packing else [])))
        # Small ones in the end: a caller who is sending on when the connection is closed may not get to read why.
        sizes = [MIB] * 63 + [MIB // 64] * 192
        parts = (pack.compress(b"x" * size) if packing else b"x" * size for size in sizes)
        wire.pour(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
        # The last chunk never comes: what is answered was decided before the end.
        answer = wire.answer()
        assert answer.status == 413
        assert "67,108,864 bytes" in answer.error


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_packed_bomb_is_not_unpacked(target: Target, pack: object) -> None:
    content = pack(b'{"inputs": "' + b"a" * (512 * MIB))  # type: ignore[operator]
    assert len(content) < MIB
    before = shim(target).memory_info().rss
    encoding = "gzip" if content[:2] == b"\x1f\x8b" else "deflate"
    answer = target.ask(head(f"Content-Length: {len(content)}", f"Content-Encoding: {encoding}") + content)
    assert answer.status == 413
    assert shim(target).memory_info().rss - before < 3 * LIMIT


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize("levels", [200, 1000, 1_000_000])
def test_deep_json_is_refused(target: Target, begin: bytes, end: bytes, levels: int) -> None:
    body = b'{"inputs": "a", "x": ' + begin * levels + b"1" + end * levels + b"}"
    for path in ("/models/embeddings", "/models/embeddings/v1/embeddings"):
        answer = target.ask(target.request(body, path=path))
        assert answer.status == 400
        assert b"100 levels deep" in answer.body


def test_half_a_string_takes_no_gigabytes(target: Target) -> None:
    process = shim(target)
    answer = target.ask(target.request(b'{"inputs": "' + b"a" * (30 * MIB)))
    assert answer.status == 400
    assert process.memory_info().rss < 1500 * MIB


def test_many_rows_and_long_texts_are_refused(target: Target) -> None:
    assert target.post("embeddings", {"inputs": ["a"] * 5000}).status_code == 413
    assert target.post("embeddings", {"inputs": "a" * 2_000_000}).status_code == 413


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (head("X: " + "a" * MIB), 431),
        (head(*(f"X-{number}: a" for number in range(10_000))), 431),
        (b"GET /" + b"a" * MIB + b" HTTP/1.1\r\n\r\n", 414),
        (head("Transfer-Encoding: chunked") + b"0\r\nX: " + b"a" * MIB, 431),
    ],
    ids=["one header", "many headers", "URL", "trailer"],
)
def test_heads_that_are_too_large_are_refused(target: Target, content: bytes, status: int) -> None:
    assert target.ask(content).status == status


def test_a_slow_head_is_given_up(target: Target) -> None:
    with connected(target.port) as wire, connected(target.port) as silent:
        wire.trickle(b"POST /models/embeddings HTTP/1.1\r\nX: " + b"a" * 1000, 0.05)
        assert (wire.answer().status, wire.closed()) == (408, True)
        assert silent.closed()


def test_a_slow_body_is_given_up(target: Target) -> None:
    with connected(target.port) as wire:
        wire.send(head("Content-Length: 100000"))
        wire.trickle(b'{"inputs": "' + b"a" * 1000, 0.05)
        answer = wire.answer()
        assert (answer.status, wire.closed()) == (408, True)
        assert "bytes of the body" in answer.error


def test_a_caller_who_does_not_read_is_given_up(target: Target) -> None:
    """Enough answers that no buffer of the system takes them, and nobody who reads one."""
    server = shim(target)
    rows = target.request({"inputs": ["a"] * 4000})
    silent = [Wire(target.port, 4096) for _ in range(4)]
    ports = {wire.own_port for wire in silent}

    def held() -> set[int]:
        return ports & {link.raddr.port for link in server.net_connections("tcp") if link.raddr}

    until(lambda: held() == ports, "the server has not taken the connections")
    for wire in silent:  # one waits until the server has taken so much, which may be when it gives up
        with suppress(TimeoutError):
            wire.send(rows * 12)
    until(lambda: not held(), "a connection whose caller reads nothing is still open")
    for wire in silent:
        wire.close()


def test_slow_callers_do_not_keep_others_out(target: Target) -> None:
    slow = [Wire(target.port) for _ in range(300)]
    for wire in slow:
        wire.send(head("Content-Length: 100000") + b"{")
    target.check()
    for wire in slow:
        wire.close()


SMUGGLED = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    "content",
    [
        head(f"Content-Length: {len(CHUNKED)}", "Transfer-Encoding: chunked") + CHUNKED,
        head("Transfer-Encoding: chunked", "Content-Length: 4") + CHUNKED,
        head(f"Content-Length: {len(BODY)}", "Content-Length: 3") + BODY,
        head(f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY)}") + BODY,
        head(f"Content-Length: {len(BODY)}, 3") + BODY,
        head(f"Content-Length: +{len(BODY)}") + BODY,
        head("Content-Length: -1") + BODY,
        head("Content-Length: 0xf") + BODY,
        head("Content-Length: 1 5") + BODY,
        head("Content-Length: 99999999999999999999999") + BODY,
        head("Transfer-Encoding: chunked, identity") + CHUNKED,
        head("Transfer-Encoding: gzip, chunked") + CHUNKED,
        head("Transfer-Encoding: xchunked") + CHUNKED,
        head("Transfer-Encoding: \x0bchunked") + CHUNKED,
        head("Transfer-Encoding : chunked") + CHUNKED,
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + CHUNKED,
        head("X: a", " Transfer-Encoding: chunked") + CHUNKED,
        head("Transfer-Encoding: chunked") + b"-f\r\n" + BODY + b"\r\n0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"0xf\r\n" + BODY + b"\r\n0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"f\r\n" + BODY + b"XX0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"f\n" + BODY + b"\n0\n\n",
        head(f"Content-Length: {len(BODY)}").replace(b"\r\n", b"\n") + BODY,
        head("X: a\rContent-Length: 0", f"Content-Length: {len(BODY)}") + BODY,
    ],
)
def test_a_request_of_two_meanings_has_none(target: Target, content: bytes) -> None:
    """What two programs may cut differently is refused, and nothing behind it is taken for a request."""
    with connected(target.port) as wire:
        wire.send(content + SMUGGLED)
        assert wire.answer().status in (400, 501)
        assert wire.closed()


def test_a_pile_of_requests_on_one_connection_is_dropped(target: Target) -> None:
    with connected(target.port) as wire:
        wire.send(SMUGGLED * 5000)
        assert wire.answer() == CLOSED

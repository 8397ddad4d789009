"""What a caller's connection may cost, on real sockets, with a stand-in for Triton: sizes, numbers and patience."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import uvicorn
from tests.unit.test_shim_app import READY, StandIn
from tests.wire import CLOSED, Wire, ask, connected, post, until

from hub2triton.shim import app, catalogue, connection
from hub2triton.shim.failure import Died, ModelFailed
from hub2triton.shim.framing import Limits
from hub2triton.shim.server import Server
from hub2triton.shim.turns import Turns

GOOD = post("/", {"inputs": "abc"})
USUAL = Limits(rest_s=20)
REPEATED = 30


class Running:
    """A shim that listens."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def hurry(self, limits: Limits) -> None:
        """Gives the connections that are open other limits from now on.

        A test that connects under short ones may be late with its first request by itself, on a busy machine.
        """
        until(lambda: self.connections, "no connection")
        for held in self.server.server_state.connections:
            held.limits = limits  # type: ignore[union-attr]


@contextmanager
def running(limits: Limits = USUAL, max_body_bytes: int = 2**20) -> Iterator[Running]:
    application = app.create(app.Settings(triton="localhost:1", max_body_bytes=max_body_bytes, gzip_level=0))
    config = uvicorn.Config(application, port=0, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    server = Server(config, application.state.shim, 0, limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), "the server did not start")
    try:
        yield Running(server, server.servers[0].sockets[0].getsockname()[1])
    finally:  # also where a test has failed, or all of them would never end
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture(scope="module")
def stand_in() -> StandIn:
    return StandIn(served=[dataclasses.replace(READY, max_text_length=10**7)])


@pytest.fixture(scope="module", autouse=True)
def triton(stand_in: StandIn) -> Iterator[StandIn]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "Triton", lambda *_: stand_in)
        yield stand_in


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as shim:
        yield shim.port


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (head("X: " + "a" * 2**20), 431, "65,536 bytes"),
        (head("X" * 2**20 + ": a"), 431, "65,536 bytes"),
        (head(*(f"X-{number}: {'a' * 100}" for number in range(1000))), 431, "more than 100 headers"),
        (head(*(f"X-{number}: a" for number in range(10_000))), 431, "more than 100 headers"),
        (f"GET /{'a' * 2**20} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 414, "16,384 bytes"),
        (f"GET /?{'a' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 414, "16,384 bytes"),
        (b"G" * 2**20, 400, "no valid HTTP"),
        (b"\r\n" * 2**19, 431, "65,536 bytes"),
    ],
    ids=["value", "name", "headers", "many headers", "path", "query", "method", "empty lines"],
)
def test_heads_that_are_too_large(port: int, sent: bytes, status: int, says: str) -> None:
    answer = ask(port, sent)
    assert answer.status == status
    assert says in answer.error
    assert answer.headers["connection"] == "close"
    assert ask(port, GOOD).status == 200


@pytest.mark.parametrize(
    ("path", "inputs", "status"),
    [
        ("/", "abc", 200),
        ("/", 1, 400),
        ("/models/made-up", "abc", 404),
        ("/", "full", 429),
        ("/", "failing", 500),
        ("/", "dying", 503),
    ],
)
def test_an_answered_request_leaves_nothing_to_the_garbage_collector(
    port: int, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, path: str, inputs: object, status: int
) -> None:
    """It stops everything while it looks through what hundreds of refusals have left, for 0.2 s and more."""
    monkeypatch.setattr(catalogue, "HOLD_S", 0.0)
    monkeypatch.setattr(stand_in, "full", inputs == "full")
    kinds = {"failing": ModelFailed, "dying": Died}
    if inputs in kinds:

        async def fail(*_: object) -> None:
            raise kinds[str(inputs)]("it is gone")

        monkeypatch.setattr(stand_in, "infer", fail)

    def ask_often() -> int:
        """How many objects were left."""
        gc.collect()
        for _ in range(REPEATED):
            assert ask(port, post(path, {"inputs": inputs})).status == status
        return gc.collect()

    gc.disable()
    try:
        ask_often()
        assert ask_often() < REPEATED
    finally:
        gc.enable()


def test_what_no_route_sees_is_counted(port: int) -> None:
    def counted() -> float:
        page = ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body.decode()
        found = re.findall(r'^hub2triton_requests_total{model="",status="414"} (.*)$', page, re.MULTILINE)
        return float(found[0]) if found else 0

    before = counted()
    assert ask(port, f"GET /{'a' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 414
    assert counted() == before + 1


def test_a_head_in_small_parts_is_counted_all_the_same(port: int) -> None:
    with connected(port) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n")
        for _ in range(70):
            wire.send(b"a" * 1000)
        assert (wire.answer().status, wire.closed()) == (431, True)


def test_large_heads_are_taken_up_to_the_limit(port: int) -> None:
    assert ask(port, post("/", {"inputs": "abc"}, "X: " + "a" * 60_000)).status == 200
    assert ask(port, post("/", {"inputs": "abc"}, *(f"X-{number}: a" for number in range(98)))).status == 200
    assert ask(port, post(f"/?{'a' * 16_000}", {"inputs": "abc"})).status == 400  # an unknown parameter, and no more


def test_a_large_body_is_no_large_head(port: int) -> None:
    text = "a" * 900_000
    assert ask(port, post("/", {"inputs": text})).body == b'{"embeddings":[900000.0]}'
    chunks = b"".join(b"1;x=y\r\n" + text[index : index + 1].encode() + b"\r\n" for index in range(50_000))
    body = b'c\r\n{"inputs": "\r\n' + chunks + b'2\r\n"}\r\n0\r\nX-Trailer: a\r\n\r\n'
    assert ask(port, head("Transfer-Encoding: chunked") + body).body == b'{"embeddings":[50000.0]}'


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"2;" + b"x" * 2**20, 431),
        (b"2\r\n{}\r\n0\r\nX: " + b"a" * 2**20, 431),
        (b"2\r\n{}\r\n0\r\n" + b"X: a\r\n" * 1000, 431),
        (b"0" * 2**20, 431),
    ],
    ids=["chunk extension", "trailer", "trailers", "chunk length"],
)
def test_what_stands_around_chunks_is_counted_too(port: int, rest: bytes, status: int) -> None:
    assert ask(port, head("Transfer-Encoding: chunked") + rest).status == status
    assert ask(port, GOOD).status == 200


def test_requests_in_a_row_are_answered_in_their_order(port: int) -> None:
    with connected(port) as wire:
        wire.send(b"".join(post("/", {"inputs": "a" * number}) for number in range(1, 8)))
        assert [wire.answer().body for _ in range(7)] == [f'{{"embeddings":[{n}.0]}}'.encode() for n in range(1, 8)]


class Crowd(Turns):
    """Turns that come when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] = []

    def now(self) -> bool:
        return False

    def later(self, begin: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.held.append(begin)

    def end(self) -> None:
        held, self.held = self.held, []
        for begin in held:
            self.loop.call_soon_threadsafe(begin)


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Crowd:
    crowd = Crowd()
    monkeypatch.setattr(app, "Turns", lambda: crowd)
    return crowd


def test_in_a_crowd_the_health_is_told_before_requests_are_read(crowd: Crowd) -> None:
    with running() as shim, connected(shim.port) as first, connected(shim.port) as second:
        for number, wire in enumerate([first, second], 1):
            wire.send(GOOD)
            until(lambda number=number: len(crowd.held) == number, "the request is not held")
        assert ask(shim.port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
        assert shim.server._shim.metrics.in_flight == 0
        crowd.end()
        assert [wire.answer().status for wire in (first, second)] == [200, 200]


def test_a_request_takes_one_turn_however_many_parts_it_comes_in(crowd: Crowd) -> None:
    request = post("/", {"inputs": "a" * 500_000})
    with running() as shim, connected(shim.port) as wire:
        wire.send(request[:20])
        until(lambda: crowd.held, "the request is not held")
        wire.send(request[20:])
        crowd.end()
        assert wire.answer().body == b'{"embeddings":[500000.0]}'
        assert not crowd.held


def test_each_request_of_a_connection_takes_its_turn(crowd: Crowd) -> None:
    with running(Limits(head_s=5)) as shim, connected(shim.port) as wire:
        for number in range(1, 4):
            wire.send(post("/", {"inputs": "a" * number}))
            until(lambda: crowd.held, "the request is not held")
            crowd.end()
            assert wire.answer().body == f'{{"embeddings":[{number}.0]}}'.encode()


def test_callers_may_leave_before_their_turn(crowd: Crowd) -> None:
    with running() as shim:
        with connected(shim.port) as wire:
            wire.send(GOOD)
            until(lambda: crowd.held, "the request is not held")
        crowd.end()
        until(lambda: shim.connections == 0, "the connection was left open")
        until(lambda: shim.server._shim.metrics.in_flight == 0, "the request is still counted")


def test_a_heap_of_requests_on_one_connection_is_dropped(port: int) -> None:
    with connected(port) as wire:
        wire.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert wire.answer() == CLOSED
    assert ask(port, GOOD).status == 200


def test_a_bad_request_behind_one_that_is_being_answered_gets_no_answer_in_its_place(
    port: int, stand_in: StandIn
) -> None:
    stand_in.waits = True
    try:
        with connected(port) as wire:
            wire.send(GOOD + b"no HTTP at all\r\n\r\n")
            assert wire.answer() == CLOSED
    finally:
        stand_in.waits = False


def test_a_switch_to_another_protocol_is_not_made(port: int) -> None:
    for protocol in ("h2c", "websocket"):
        upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}")
        assert ask(port, post("/", {"inputs": "abc"}, *upgrade)).status == 200
        with connected(port) as wire:
            wire.send(("\r\n".join(["GET /health HTTP/1.1", "Host: x", *upgrade, "", ""])).encode())
            assert wire.answer().status == 200
            assert wire.closed()


def test_headers_that_do_not_come_are_not_waited_for() -> None:
    with running(Limits(head_s=0.2)) as shim:
        for _ in range(20):
            with connected(shim.port) as wire:
                wire.send(b"POST / HTTP/1.1\r\nHo")
                answer = wire.answer()
                if answer != CLOSED:  # else its first byte came too late, for this machine is busy
                    break
        assert answer.status == 408
        assert "within 0.2 seconds" in answer.error
        with connected(shim.port) as wire:
            wire.trickle(b"\r\n" * 100, 0.01)
            assert wire.answer().status in (408, CLOSED.status)
        with connected(shim.port) as silent:
            assert silent.closed()
        until(lambda: shim.connections == 0, "connections were left open")


def test_headers_of_a_second_request_that_do_not_come_are_not_waited_for() -> None:
    with running() as shim:
        with connected(shim.port) as wire:
            shim.hurry(Limits(head_s=0.2))
            wire.send(GOOD)
            assert wire.answer().status == 200
            wire.send(b"POST")
            assert (wire.answer().status, wire.closed()) == (408, True)
        until(lambda: shim.connections == 0, "the connection was left open")


def test_a_slow_body_is_not_waited_for() -> None:
    with running(Limits(rest_s=0.5)) as shim, connected(shim.port) as wire:
        wire.send(head("Content-Length: 100000"))
        sent = wire.trickle(b'{"inputs": "' + b"a" * 1000, 0.02)
        answer = wire.answer()
        assert answer.status == 408
        assert "bytes of the body" in answer.error
        assert sent < 500
        assert wire.closed()
        assert ask(shim.port, GOOD).status == 200
        until(lambda: shim.server._shim.metrics.in_flight == 0, "the request is still counted")


def test_a_slow_chunked_body_is_not_waited_for() -> None:
    with running(Limits(rest_s=0.3)) as shim, connected(shim.port) as wire:
        wire.send(head("Transfer-Encoding: chunked") + b"5;")
        wire.trickle(b"x" * 1000, 0.02)
        assert wire.answer().status == 408


def test_a_body_may_take_long_if_it_keeps_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of ten bytes buys more time than a test is ever late; without them it would be over at once."""
    monkeypatch.setattr(connection, "SLOWEST", 0.1)
    with running(Limits(rest_s=0.2)) as shim, connected(shim.port) as wire:
        request = post("/", {"inputs": "a" * 150})
        body = request.index(b"\r\n\r\n") + 4
        wire.send(request[: body + 10])
        for start in range(body + 10, len(request), 10):
            threading.Event().wait(0.03)
            wire.send(request[start : start + 10])
        assert wire.answer().status == 200


def test_waiting_for_the_model_is_not_held_against_the_caller(stand_in: StandIn) -> None:
    with running() as shim, connected(shim.port) as wire:
        shim.hurry(Limits(head_s=0.1, rest_s=0.1))
        stand_in.waits = True
        try:
            wire.send(GOOD)
            until(lambda: shim.server._shim.metrics.in_flight == 1, "the request is not under way")
            threading.Event().wait(0.5)
            assert shim.connections == 1
        finally:
            stand_in.waits = False


def test_the_rest_of_a_refused_body_is_not_waited_for() -> None:
    with running() as shim, connected(shim.port) as wire:
        shim.hurry(Limits(head_s=2))
        wire.send(head("Content-Length: 99999999"))
        assert wire.answer().status == 413
        assert wire.trickle(b"a" * 1000, 0.01) < 1000
        assert wire.closed()


@contextmanager
def answers_of(size: int) -> Iterator[None]:
    """Embeddings so long that no system takes them off a server's hands."""

    async def long(*_: object) -> list[dict[str, object]]:
        return [{"embedding": np.full(size, 0.123456789, np.float32), "token_count": np.ones(1, np.int32)}]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StandIn, "infer", long)
        yield


def test_a_caller_who_does_not_read_is_left() -> None:
    with running(Limits(rest_s=0.3)) as shim, answers_of(3_000_000):
        silent = [Wire(shim.port, 4096) for _ in range(3)]
        for wire in silent:
            wire.send(GOOD)
        until(lambda: shim.connections == 3, "no connection")
        until(lambda: shim.connections == 0, "the answer is still held")
        for wire in silent:
            wire.close()


def test_a_caller_who_reads_slowly_gets_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock strikes when the test says so: a caller has read more than the system holds between any two times."""
    monkeypatch.setattr(connection, "SLOWEST", 1)
    with running(Limits(rest_s=1000)) as shim, answers_of(600_000), connected(shim.port, 65536) as wire:
        wire.send(GOOD)
        until(lambda: shim.connections, "no connection")
        (held,) = shim.server.server_state.connections
        strokes = 0
        while len(wire._left) < 6_000_000 and wire._more():
            if len(wire._left) // 2**20 > strokes:
                strokes += 1
                held.loop.call_soon_threadsafe(held._check_answer)  # type: ignore[union-attr]
        answer = wire.answer()
        assert strokes == 5
        assert answer.status == 200
        assert len(answer.body) == int(answer.headers["content-length"])


def test_connections_are_counted() -> None:
    with running(Limits(connections=3)) as shim:
        held = [Wire(shim.port) for _ in range(3)]
        until(lambda: shim.connections == 3, "no connection")
        with connected(shim.port) as wire:
            wire.send(GOOD)
            answer = wire.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "3 connections" in answer.error
        held.pop().close()
        until(lambda: ask(shim.port, GOOD).status == 200, "no further connection was taken")
        for wire in held:
            wire.close()

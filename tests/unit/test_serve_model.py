import asyncio
import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from hub2triton.serve import backoff
from hub2triton.serve.backoff import Backoff
from hub2triton.serve.control import Control, IndexEntry, LoadError
from hub2triton.serve.limits import Limits
from hub2triton.serve.model import ServedModel, State
from hub2triton.serve.report import Report
from hub2triton.serve.repository import ModelDirectory
from hub2triton.serve.stub import Life, Stub, parse_command

STUB = (
    "/run/b/python/triton_python_backend_stub /repo/org--name/1/model.py "
    "run-fd0839c0-bece-477d-ab06-8bcc28964b7e 1048576 1048576 4237 /run/b/python 336 org--name_0_1 DEFAULT"
)


def test_a_stub_is_known_by_its_command_line() -> None:
    region = "run-fd0839c0-bece-477d-ab06-8bcc28964b7e"
    assert parse_command(STUB.split(), Path("/repo")) == ("org--name", region)
    assert parse_command(STUB.split(), Path("/other")) is None
    assert parse_command(["python3", "/repo/a/1/model.py", "x"], Path("/repo")) is None
    assert parse_command([], Path("/repo")) is None


def test_the_first_attempt_is_immediate_and_the_delays_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def skip(seconds: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", skip)
    clock = 0.0
    monkeypatch.setattr(backoff.time, "monotonic", lambda: clock)
    waiting = Backoff()
    delays = []
    for _ in range(8):
        delays.append(waiting.delay)
        asyncio.run(waiting.wait())
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30]
    waiting.started()
    waiting.died()
    assert waiting.delay == 30
    clock = 61.0
    waiting.died()
    assert waiting.delay == 0


class FakeControl:
    """A repository API whose loads fail as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls: list[str] = []
        self.index = IndexEntry("READY", "")
        self.alive = True
        self.refused: list[str] = []

    async def live(self) -> bool:
        return self.alive

    async def refuse(self, _name: str, reason: str) -> None:
        self.calls.append("refuse")
        self.refused.append(reason)

    async def load(self, _name: str) -> None:
        self.calls.append("load")
        if self.failures:
            self.failures -= 1
            raise LoadError("load failed for model 'm': version 1 is at UNAVAILABLE state: Internal: ValueError: no")

    async def unload(self, _name: str) -> None:
        self.calls.append("unload")

    async def entry(self, _name: str) -> IndexEntry:
        return self.index

    async def model_ready(self, _name: str) -> bool:
        return True


class FakeStub:
    """A model process that lives as told."""

    def __init__(self, life: Life, pid: int) -> None:
        self.now, self.pid, self.model, self.region = life, pid, "m", "other-region"

    def life(self) -> Life:
        return self.now

    def kill(self) -> None:
        self.now = Life.GONE


def served(control: FakeControl, stream: io.StringIO, restarts: int = 10) -> ServedModel:
    report = Report(stream, verbose=False)
    directory = ModelDirectory("m", Path("/repo/m"))
    limits = Limits(restarts=restarts)
    return ServedModel(directory, cast("Control", control), report, "run-", lambda _: None, limits)


def nothing() -> None:
    """No process is discovered."""


async def ready(
    control: FakeControl, *lives: Life, restarts: int = 10
) -> tuple[ServedModel, list[FakeStub], io.StringIO]:
    stream = io.StringIO()
    model = served(control, stream, restarts)
    failures, control.failures = control.failures, 0
    assert await model.load(nothing)
    control.failures = failures
    stubs = [FakeStub(life, pid) for pid, life in enumerate(lives, 100)]
    for stub in stubs:
        model.add(cast("Stub", stub))
    return model, stubs, stream


async def test_living_processes_are_left_alone() -> None:
    model, _, _ = await ready(FakeControl(), Life.ALIVE, Life.ALIVE)
    assert await model.dead_stub(nothing) is None


async def test_a_zombie_is_dead_when_seen_twice() -> None:
    model, stubs, _ = await ready(FakeControl(), Life.ALIVE, Life.ZOMBIE)
    assert await model.dead_stub(nothing) is None
    assert cast("Any", await model.dead_stub(nothing)) is stubs[1]


async def test_a_model_unloaded_by_somebody_else_stays_so() -> None:
    control = FakeControl()
    model, stubs, _ = await ready(control, Life.GONE)
    control.index = IndexEntry("UNAVAILABLE", "unloaded")
    assert await model.dead_stub(nothing) is None
    assert model.state is State.UNLOADED
    control.index = IndexEntry("READY", "")
    stubs.append(FakeStub(Life.ALIVE, 200))
    model.add(cast("Stub", stubs[-1]))
    await model.dead_stub(nothing)
    assert model.state is State.READY


async def test_a_model_reloaded_by_somebody_else_is_not_repaired() -> None:
    model, _, _ = await ready(FakeControl(), Life.GONE, Life.ALIVE)
    assert await model.dead_stub(nothing) is None
    assert model.state is State.READY


async def test_a_pending_load_is_not_a_death() -> None:
    model = served(FakeControl(), io.StringIO())
    model.add(cast("Stub", FakeStub(Life.ZOMBIE, 1)))
    assert [await model.dead_stub(nothing) for _ in range(3)] == [None] * 3


async def test_repair_unloads_ends_siblings_and_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_FIRST", 0.01)
    control = FakeControl(failures=2)
    model, stubs, stream = await ready(control, Life.ALIVE, Life.ZOMBIE)
    await model.repair(cast("Stub", stubs[1]), nothing)
    assert control.calls == ["load", *["unload", "load"] * 3]
    assert stubs[0].now is Life.GONE
    assert model.state is State.READY
    printed = stream.getvalue()
    assert "died    m: its process 101 is gone" in printed
    assert printed.count("failed  m: ValueError: no; next attempt in") == 2


@dataclass
class Clock:
    """A time that passes where somebody sleeps, and where it is told to."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    monkeypatch.setattr(backoff.time, "monotonic", lambda: clock.now)
    return clock


async def dies(model: ServedModel, pid: int) -> None:
    await model.repair(cast("Stub", FakeStub(Life.ZOMBIE, pid)), nothing)


async def test_a_model_that_dies_as_soon_as_it_serves_is_given_up(clock: Clock) -> None:
    control = FakeControl()
    model, _, stream = await ready(control, restarts=3)
    for pid in range(4):
        assert not model.given_up
        await dies(model, pid)
    assert model.given_up
    assert model.state is State.FAILED
    assert clock.slept == [1, 2]
    assert control.calls == ["load", *["unload", "load"] * 3, "unload", "refuse"]
    assert control.refused == ["its process died again and again; the log of serve-repo says more"]
    told = [line for line in stream.getvalue().splitlines() if "given up" in line]
    assert len(told) == 1
    assert told[0].startswith("failed  m: given up (--max-model-restarts): loaded again 3 times in a row, in vain")
    assert told[0].endswith("start serve-repo again")


async def test_a_model_that_no_longer_loads_is_given_up(clock: Clock) -> None:
    control = FakeControl(failures=100)
    model, _, stream = await ready(control, restarts=3)
    clock.now += 3600
    await dies(model, 1)
    assert model.given_up
    assert clock.slept == [1, 2]
    # Triton keeps the reason of the last load, which says more than that it was given up.
    assert control.calls == ["load", *["unload", "load"] * 3]
    assert stream.getvalue().count("next attempt in") == 2
    assert stream.getvalue().count("given up") == 1


async def test_deaths_far_apart_do_not_count(clock: Clock) -> None:
    control = FakeControl()
    model, _, stream = await ready(control, restarts=3)
    for pid in range(50):
        clock.now += backoff.STABLE
        await dies(model, pid)
        await dies(model, pid)  # as where the shim asks once more, and it dies of that too
    assert model.state is State.READY
    assert "given up" not in stream.getvalue()


async def test_a_model_may_have_no_second_chance() -> None:
    model, _, stream = await ready(FakeControl(), restarts=0)
    await dies(model, 1)
    assert model.given_up
    assert "given up (--max-model-restarts): its process has died. Mend" in stream.getvalue()


async def test_a_server_that_is_gone_is_no_reason_to_give_a_model_up(clock: Clock) -> None:
    control = FakeControl(failures=5)
    model, _, _ = await ready(control, restarts=3)
    control.alive = False
    await dies(model, 1)
    assert model.state is State.READY
    assert clock.slept == [1, 2, 4, 8, 16]


async def test_a_model_that_was_given_up_may_be_loaded_by_somebody_else() -> None:
    control = FakeControl()
    model, _, _ = await ready(control, restarts=0)
    await dies(model, 1)
    assert await model.dead_stub(nothing) is None
    assert model.given_up
    model.add(cast("Stub", FakeStub(Life.ALIVE, 2)))
    assert await model.dead_stub(nothing) is None
    assert model.state is State.READY
    assert model.served


def test_a_process_that_ended_is_gone() -> None:
    process = psutil.Popen(["sleep", "60"])
    try:
        stub = Stub(psutil.Process(process.pid), "m", "region")
        assert stub.life() is Life.ALIVE
        stub.kill()
        deadline = time.monotonic() + 10
        while stub.life() is Life.ALIVE and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stub.life() is Life.ZOMBIE
    finally:
        process.kill()
        process.wait()
    assert stub.life() is Life.GONE

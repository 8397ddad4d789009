"""Processes that hang or grow, and how often tritonserver may die; no server needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import psutil
import pytest

from hub2triton.serve import backoff, limits
from hub2triton.serve.backoff import Allowance
from hub2triton.serve.control import Control, LoadError, ServerGoneError
from hub2triton.serve.limits import Excess, Limits
from hub2triton.serve.model import ServedModel, State
from hub2triton.serve.report import Report
from hub2triton.serve.repository import ModelDirectory
from hub2triton.serve.stall import Look, Stall
from hub2triton.serve.stub import Life, Stub

WAITING = Look(waits=True, executions=0, pauses=0)


def busy(executions: int, pauses: int) -> Look:
    return Look(waits=False, executions=executions, pauses=pauses)


def first_found(stall: Stall, *looks: Look, every: float = 1.0) -> int | None:
    """The number of the look at which a process is found to hang."""
    return next((number for number, look in enumerate(looks) if stall.seen(1, look, number * every)), None)


def test_one_execution_that_lasts_too_long() -> None:
    # Its main thread may go to sleep as often as it likes: that no execution ends is enough.
    assert first_found(Stall(3), WAITING, *(busy(7, pauses) for pauses in range(9))) == 4


def test_one_process_of_several_that_never_sleeps() -> None:
    assert first_found(Stall(3), WAITING, *(busy(count, 5) for count in range(9))) == 4


def test_many_executions_without_a_moment_of_rest() -> None:
    assert first_found(Stall(3), WAITING, *(busy(count, count) for count in range(99))) is None


def test_executions_that_are_slow_but_end() -> None:
    looks = [busy(number // 3, number // 3) for number in range(30)]
    assert first_found(Stall(4), WAITING, *looks) is None
    assert first_found(Stall(2), WAITING, *looks) == 3


def test_waiting_for_requests_is_no_execution() -> None:
    assert first_found(Stall(1), *[WAITING] * 9) is None
    assert first_found(Stall(3), WAITING, *[busy(0, 0), busy(0, 0), WAITING] * 9) is None


def test_no_limit() -> None:
    assert first_found(Stall(0), WAITING, *[busy(0, 0)] * 9) is None


@pytest.mark.parametrize("waits", [None, False])
def test_what_was_never_seen_waiting_is_not_judged(waits: bool | None) -> None:
    assert first_found(Stall(1), *[Look(waits, 0, 0)] * 9) is None


def test_it_is_known_that_nothing_is_judged() -> None:
    stall = Stall(3)
    known = [stall.seen(1, busy(0, 0), second) or stall.unjudged for second in range(5)]
    assert known == [False, False, False, True, True]
    stall.seen(2, WAITING, 5)  # so this Triton's do wait in the known way, and the other is judged from now on
    assert not stall.unjudged
    assert [stall.seen(1, busy(0, 0), second) for second in range(6, 10)] == [False, False, False, True]


async def test_why_nothing_can_be_found_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock)
    model, _ = served(FakeControl(), Limits(execution=60))
    stub = FakeStub(1, waits=False)
    model.add(*stubs_of(stub))
    model.state = State.READY
    assert await model.kill_hung() == ""
    clock += 60
    assert await model.kill_hung() == "no process was seen waiting for a request, as Triton's do between two"
    stub.waiting = True
    assert await model.kill_hung() == ""
    stub.waiting = None
    assert await model.kill_hung() == "/proc/PID/syscall of models cannot be read here"


def test_an_id_that_comes_again_is_another_process() -> None:
    stall = Stall(2)
    assert first_found(stall, WAITING, busy(0, 0), busy(0, 0)) is None
    stall.forget()
    assert not stall.seen(1, busy(0, 0), 100.0)
    assert stall.seen(1, busy(0, 0), 102.0)


def test_a_real_process_tells_what_it_does() -> None:
    process = psutil.Popen(["sleep", "60"])
    try:
        stub = Stub(psutil.Process(process.pid), "m", "no-such-region")
        assert stub.waits() is False  # it sleeps, but not on a lock in its region
        assert stub.pauses() >= 0
        assert 0 <= stub.memory() < 100
    finally:
        process.kill()
        process.wait()
    assert stub.waits() is None
    assert (stub.pauses(), stub.memory()) == (0, 0)


class FakeStub:
    """A model process that holds and does as told."""

    def __init__(self, pid: int, memory: int = 0, waits: bool | None = True) -> None:
        self.pid, self.held, self.waiting, self.now = pid, memory, waits, Life.ALIVE
        self.model, self.region = "m", "other-region"

    def life(self) -> Life:
        return self.now

    def memory(self) -> int:
        return self.held

    def waits(self) -> bool | None:
        return self.waiting

    def pauses(self) -> int:
        return 0

    def kill(self) -> None:
        self.now = Life.ZOMBIE


def stubs_of(*stubs: FakeStub) -> list[Stub]:
    return [cast("Stub", stub) for stub in stubs]


def test_memory_beyond_the_limit() -> None:
    excess = Excess(Limits(memory=100))
    small, large = stubs_of(FakeStub(1, 100), FakeStub(2, 101))
    assert excess.grown([small]) is None
    assert excess.grown([small, large]) is large
    assert Excess(Limits()).grown([large]) is None


def test_a_process_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock)
    excess = Excess(Limits(memory=100))
    old, new = stubs_of(FakeStub(1, 500), FakeStub(2, 500))
    excess.replaced([old])
    assert excess.grown([old, new]) is None  # a moment ago
    clock += 31
    assert excess.grown([old, new]) is new


def test_one_that_is_large_from_the_start_is_left_alone() -> None:
    excess = Excess(Limits(memory=100))
    (stub,) = stubs_of(FakeStub(1, 500))
    assert excess.large_from_the_start([stub]) is stub
    assert excess.grown([stub]) is None


async def test_triton_is_asked_only_while_something_runs() -> None:
    asked = 0

    async def executions() -> int:
        nonlocal asked
        asked += 1
        return 0

    excess = Excess(Limits(execution=1000))
    idle, at_work = FakeStub(1), FakeStub(2, waits=False)
    assert await excess.hung(stubs_of(idle), executions) == []
    assert asked == 0
    assert await excess.hung(stubs_of(idle, at_work), executions) == []
    assert asked == 1


class FakeControl:
    """A repository API that loads new models beside old ones, or fails to."""

    def __init__(self) -> None:
        self.failure: LoadError | None = None
        self.calls: list[str] = []

    async def load(self, _name: str) -> None:
        self.calls.append("load")
        if self.failure:
            raise self.failure

    async def replace(self, _name: str) -> None:
        self.calls.append("replace")
        if self.failure:
            raise self.failure

    async def executions(self, _name: str) -> int:
        return 0


def served(control: FakeControl, allowed: Limits) -> tuple[ServedModel, io.StringIO]:
    stream = io.StringIO()
    report = Report(stream, verbose=False)
    directory = ModelDirectory("m", Path("/repo/m"))
    return ServedModel(directory, cast("Control", control), report, "run-", lambda _: None, allowed), stream


async def test_a_model_that_has_grown_is_loaded_beside_itself() -> None:
    control = FakeControl()
    model, stream = served(control, Limits(memory=100))
    old, new = stubs_of(FakeStub(1, 50), FakeStub(2, 50))
    await model.load(lambda: model.add(old))
    assert model.grown_stub() is None
    cast("FakeStub", old).held = 150
    assert model.grown_stub() is old
    await model.replace(old, lambda: model.add(new))
    assert control.calls == ["load", "replace"]
    assert (model.state, model.grown_stub()) == (State.READY, None)
    assert "its process 1 holds 150 MiB, more than 100 (--model-memory); replacing it" in stream.getvalue()


async def test_a_replacement_that_does_not_load_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    control = FakeControl()
    model, stream = served(control, Limits(memory=100))
    stub = FakeStub(1, 50)
    await model.load(lambda: model.add(*stubs_of(stub)))
    stub.held = 150
    control.failure = LoadError("Internal: ValueError: no")
    await model.replace(*stubs_of(stub), lambda: None)
    assert model.state is State.READY
    assert "failed  m: ValueError: no; the old process goes on" in stream.getvalue()
    monkeypatch.setattr(limits, "_PAUSE", 0.0)
    assert model.grown_stub() is not None


async def test_a_hanging_process_is_killed() -> None:
    model, stream = served(FakeControl(), Limits(execution=1e-9))
    stub = FakeStub(1)
    await model.load(lambda: model.add(*stubs_of(stub)))
    assert await model.kill_hung() == ""
    assert stub.now is Life.ALIVE
    stub.waiting = False
    await model.kill_hung()
    await model.kill_hung()
    assert stub.now is Life.ZOMBIE
    assert "hung    m: its process 1 is at one execution for 1e-09 s (--hang-timeout); killed" in stream.getvalue()


async def test_a_process_that_is_busy_ever_after_its_load_is_found_to_hang() -> None:
    class Busy(FakeStub):
        """It comes from its load, waits for a moment, and is given a first request."""

        looks = 0

        def waits(self) -> bool:
            self.looks += 1
            return self.looks == 3

    model, _ = served(FakeControl(), Limits(execution=1e-9))
    stub = Busy(1)
    await model.load(lambda: model.add(*stubs_of(stub)))
    await model.kill_hung()
    await model.kill_hung()
    assert stub.now is Life.ZOMBIE


async def test_a_load_that_ends_with_the_server_is_no_failure_of_the_model() -> None:
    control = FakeControl()
    control.failure = ServerGoneError("Socket closed")
    model, stream = served(control, Limits())
    assert not await model.load(lambda: None)
    assert "failed" not in stream.getvalue()


def test_an_allowance_is_spent_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(backoff.time, "monotonic", lambda: clock)
    allowance = Allowance(2, 60)
    assert [allowance.spend() for _ in range(3)] == [True, True, False]
    clock = 59.9
    assert not allowance.spend()
    clock = 60.0
    assert [allowance.spend() for _ in range(3)] == [True, True, False]
    assert not Allowance(0, 60).spend()

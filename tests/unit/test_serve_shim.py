"""How often the shim is started again."""

from __future__ import annotations

import asyncio
import io
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from hub2triton.error import ServeError
from hub2triton.serve import backoff, shim
from hub2triton.serve.options import Options, parse
from hub2triton.serve.report import Report
from hub2triton.serve.shim import Shim, shim_command

if TYPE_CHECKING:
    from hub2triton.serve.process import Guard


@dataclass
class World:
    """Shims that end after so many seconds each, on a clock of their own.

    Attributes:
        lives: Seconds of those to come.
        answer: Whether they accept connections before that.
    """

    lives: deque[float]
    answer: bool = True
    now: float = 1000.0
    started: list[float] = field(default_factory=list)
    shim: Shim | None = None

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def start(self, *_: Any) -> World:
        if not self.lives:
            raise asyncio.CancelledError  # as when serve-repo is asked to stop
        self.started.append(self.now)
        return self

    async def wait(self) -> int:
        if self.answer and self.shim:
            self.shim.answers.set()
        self.now += self.lives.popleft()
        return 1

    async def stop(self, *_: Any) -> None:
        """It has ended by itself."""

    def ending(self) -> str:
        return "exited with code 1"

    pid = 1

    @property
    def tail(self) -> list[str]:
        return ["its last line"]


async def keep(world: World, monkeypatch: pytest.MonkeyPatch, restarts: int) -> str:
    monkeypatch.setattr(asyncio, "sleep", world.sleep)
    monkeypatch.setattr(backoff.time, "monotonic", lambda: world.now)
    monkeypatch.setattr(shim.Child, "start", world.start)
    stream = io.StringIO()
    options = Options(Path("repo"), max_restarts=restarts)
    report = Report(stream, verbose=False)
    world.shim = Shim(("shim",), options, cast("Guard", None), report, Path("folder"))
    monkeypatch.setattr(world.shim, "_probe", lambda: asyncio.sleep(0))
    await world.shim.keep()
    return stream.getvalue()


async def test_a_shim_that_ends_as_soon_as_it_runs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(deque([1.0] * 9))
    with pytest.raises(ServeError, match=r"code 1, started again 3 times in a row.* \(--max-restarts\)\.") as up:
        await keep(world, monkeypatch, 3)
    assert world.started == [1000, 1001, 1003, 1006]  # at once, then after 1 s and 2 s
    assert str(up.value).endswith("Its last lines:\n    its last line")


async def test_ends_far_apart_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(deque([backoff.STABLE, 1.0] * 50))
    with pytest.raises(asyncio.CancelledError):
        await keep(world, monkeypatch, 2)
    assert len(world.started) == 100


async def test_no_restart_may_be_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(deque([3600.0]))
    with pytest.raises(ServeError, match=r"^The shim exited with code 1 \(--max-restarts\)"):
        await keep(world, monkeypatch, 0)


async def test_one_that_never_answers_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(deque([3600.0] * 9), answer=False)
    with pytest.raises(ServeError, match="3 times without having answered"):
        await keep(world, monkeypatch, 5)


async def test_keys_of_the_command_line_are_in_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB2TRITON_API_KEY", "of-the-environment")
    options = parse(["repo", "--api-key", "first-of-the-flags", "--api-key=second-of-the-flags"], {})
    assert "of-the-flags" not in " ".join(shim_command(options))
    assert "of-the-flags" not in repr(options)
    environments: list[dict[str, str]] = []

    async def start(command: Any, environment: dict[str, str], *_: Any) -> None:
        assert "of-the-flags" not in " ".join(command)
        environments.append(environment)
        raise asyncio.CancelledError

    monkeypatch.setattr(shim.Child, "start", start)
    report = Report(io.StringIO(), verbose=False)
    started = Shim(shim_command(options), options, cast("Guard", None), report, Path("folder"))
    with pytest.raises(asyncio.CancelledError):
        await started.keep()
    assert environments[0]["HUB2TRITON_API_KEY"] == "of-the-environment,first-of-the-flags,second-of-the-flags"
    assert "of-the-flags" not in " ".join(os.environ.values())

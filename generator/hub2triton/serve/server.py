"""One tritonserver from its start to its end, with its models loaded and watched."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import TYPE_CHECKING

from hub2triton.error import ServeError
from hub2triton.serve.log import TABLE, Level, LogReader, Record
from hub2triton.serve.model import State
from hub2triton.serve.process import Child, indent
from hub2triton.serve.stub import StubList

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path
    from typing import Any

    from hub2triton.serve.control import Control
    from hub2triton.serve.model import ServedModel
    from hub2triton.serve.noise import Sieve
    from hub2triton.serve.process import Guard
    from hub2triton.serve.report import Report
    from hub2triton.serve.tritonserver import Launch

_START = 60.0  # seconds for an empty tritonserver to answer: 0.3 is usual, a first start from a cold disk takes longer
_WATCH = 0.25  # seconds between looks at the model processes
_LOOK_CLOSER = 4  # looks between those at what the processes do and hold
_DISCOVER = 20  # looks between searches for processes of models that others loaded; every look while something loads
# Seconds for Triton to end once nothing is in flight and the models have ended. It takes half of it, except where it
# waits for a dead process; with the shim's end and that of the models it stays below 5 even then.
_GRACE = 2.0
_POLL = 0.05  # seconds
# What Triton logs every second once it is asked to stop. 2.51 counts requests in queues, and not those being executed.
_IN_FLIGHT = re.compile(r"Timeout \d+: Found (\d+) model versions that have in-flight inferences")


class LogTail:
    """What Triton logs: shown as far as it matters, and the last errors kept.

    Attributes:
        in_flight: Whether Triton said last that requests wait while it stops.
    """

    def __init__(self, report: Report, sieve: Sieve) -> None:
        self.in_flight = False
        self._report = report
        self._sieve = sieve
        self._reader = LogReader()
        self._errors: deque[Record] = deque(maxlen=100)

    def read(self, line: str) -> None:
        """Takes the next line."""
        record = self._reader.read(line)
        if record is None:
            return
        if record.level in (Level.ERROR, Level.FATAL):
            self._errors.append(record)
        counted = _IN_FLIGHT.match(record.text)
        if counted:
            self.in_flight = counted[1] != "0"
        shown = self._sieve.shown(record)
        if shown:
            self._report.record(shown)

    def error(self, model: str) -> str | None:
        """The last error about the model of a name."""
        return next((record.text for record in reversed(self._errors) if f"'{model}'" in record.text), None)


class Server:
    """A running tritonserver.

    Attributes:
        lived: Whether it has ever answered.
    """

    def __init__(
        self,
        child: Child,
        repository: Path,
        models: Mapping[str, ServedModel],
        control: Control,
        report: Report,
        log: LogTail,
    ) -> None:
        self.lived = False
        self._child = child
        self._models = models
        self._control = control
        self._report = report
        self._log = log
        self._stubs = StubList(child.pid, repository)
        self._blind: set[str] = set()  # why models cannot be found to hang, as far as it was told

    @classmethod
    async def start(
        cls,
        launch: Launch,
        models: Mapping[str, ServedModel],
        control: Control,
        report: Report,
        log: LogTail,
        guard: Guard,
    ) -> Server:
        """Starts it, with no model loaded yet.

        Raises:
            ServeError: It cannot be started.
        """
        log.in_flight = False
        try:
            child = await Child.start(launch.command, launch.environment, guard, log.read)
        except OSError as error:
            raise ServeError(f"{launch.command[0]} cannot be started: {error.strerror}.") from error
        return cls(child, launch.repository, models, control, report, log)

    async def serve(self, load: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
        """Has the models loaded and watches them; returns when the server has ended by itself.

        Args:
            load: Loads the models, as soon as the server answers.

        Raises:
            ServeError: It runs and cannot serve.
        """
        ended = asyncio.create_task(self._child.wait())
        work = asyncio.create_task(self._work(load))
        try:
            await asyncio.wait([ended, work], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                # A server that dies breaks connections first: that is not why.
                await asyncio.wait([ended], timeout=0.5)
            if not ended.done():
                work.result()
        finally:
            ended.cancel()
            work.cancel()
            await asyncio.wait([ended, work], timeout=0.5)
            if work.done() and not work.cancelled():
                work.exception()  # looked at: it is not why

    def discover(self) -> None:
        """Tells the models of their new processes."""
        for stub in self._stubs.discover():
            if stub.model in self._models:
                self._models[stub.model].add(stub)

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ends it and all of its processes.

        Args:
            seconds: That requests in flight may take.
            hurry: Set to kill without waiting longer.
        """
        self._child.terminate()
        now = busy = time.monotonic()
        until = now + max(seconds, _GRACE)
        while self._child.running and not hurry.is_set() and now < min(until, busy + _GRACE):
            await asyncio.sleep(_POLL)
            now = time.monotonic()
            if self._log.in_flight or any(model.busy() for model in self._models.values()):
                busy = now
        await self._child.kill()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return self._child.ending()

    async def last_lines(self) -> str:
        """What it logged before it ended."""
        await asyncio.sleep(0.2)  # for the lines still under way
        return indent(line for line in self._child.tail if not line.startswith(TABLE))

    async def _work(self, load: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
        await self._live()
        self.lived = True
        try:
            async with asyncio.TaskGroup() as group:  # the first failure cancels the rest
                group.create_task(self._followed(load(self)))
                group.create_task(self._watch(group))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _live(self) -> None:
        for _ in range(int(_START * 10)):
            if await self._control.live():
                return
            await asyncio.sleep(0.1)
        raise ServeError(f"tritonserver runs, but does not answer after {_START:.0f} s. --verbose shows all it logs.")

    async def _watch(self, group: asyncio.TaskGroup) -> None:
        """Repairs every model of which a process has died or hangs, and replaces those that have grown too large."""
        rounds = 0
        while True:
            await asyncio.sleep(_WATCH)
            rounds += 1
            self._report.tick()
            if rounds % _DISCOVER == 0 or any(model.state is State.LOADING for model in self._models.values()):
                self.discover()
            for model in self._models.values():
                if rounds % _LOOK_CLOSER == 0:
                    await self._look_closer(model, group)
                dead = await model.dead_stub(self.discover)
                if dead:
                    await _begun(group, self._followed(model.repair(dead, self.discover)))

    async def _followed(self, work: Coroutine[Any, Any, None]) -> None:
        """Does some work on models, and ends where it has left none that serves or will."""
        await work
        if all(model.given_up for model in self._models.values()) and await self._control.live():
            raise ServeError("No model is left to serve; the reasons are above. Mend them and start serve-repo again.")

    async def _look_closer(self, model: ServedModel, group: asyncio.TaskGroup) -> None:
        grown = model.grown_stub()
        if grown:
            await _begun(group, model.replace(grown, self.discover))
        blind = await model.kill_hung()
        if blind and blind not in self._blind:
            self._blind.add(blind)
            self._report.note(f"note    {model.name}: {blind}: none is found to hang (--hang-timeout)")


async def _begun(group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
    """Lets some work run to its first pause: until then its model would be found in need of it once more."""
    group.create_task(work)
    await asyncio.sleep(0)

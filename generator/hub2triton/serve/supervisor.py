"""Runs tritonserver and the shim for one repository until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub2triton.error import ServeError
from hub2triton.serve import guard
from hub2triton.serve.control import Control
from hub2triton.serve.log import TABLE, Level, LogReader, Record
from hub2triton.serve.model import ServedModel, State
from hub2triton.serve.noise import Sieve, has_gpu
from hub2triton.serve.process import Child, Guard, indent
from hub2triton.serve.shim import Shim, shim_command
from hub2triton.serve.stub import StubList
from hub2triton.serve.tritonserver import launch

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from hub2triton.serve.options import Options
    from hub2triton.serve.report import Report
    from hub2triton.serve.repository import ModelDirectory
    from hub2triton.serve.tritonserver import Installation

_START = 60.0  # seconds for an empty tritonserver to answer: 0.3 is usual, a first start from a cold disk takes longer
_WATCH = 0.25  # seconds between looks at the model processes
_DISCOVER = 20  # looks between searches for processes of models that others loaded; every look while something loads
_SHIM_ANSWERS = 30.0  # seconds
# Seconds. With the shim's 1.0 and the sweep it stays below 5 in all, even where Triton waits for a dead process.
_TRITON_GRACE = 2.8
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """One run of serve-repo."""

    def __init__(
        self,
        options: Options,
        installation: Installation,
        models: Sequence[ModelDirectory],
        report: Report,
        shim: Sequence[str] | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            options: What the user asked for.
            installation: The tritonserver to run.
            models: The models to load, at least one.
            report: Where everything is printed.
            shim: The shim's command; None for the project's own.
        """
        self._options = options
        self._installation = installation
        self._report = report
        self._shim_command = shim_command(options) if shim is None else tuple(shim)
        self._prefix = f"hub2triton-{secrets.token_hex(4)}-"
        self._reader = LogReader()
        self._sieve = Sieve(options.verbose, has_gpu(), frozenset(model.name for model in models))
        self._errors: deque[Record] = deque(maxlen=100)
        self._control = Control(options.triton_target, options.grpc_port)
        self._models = {
            model.name: ServedModel(model, self._control, report, self._prefix, self._logged) for model in models
        }
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Serves until SIGINT, SIGTERM or SIGHUP; a second signal kills at once.

        Raises:
            ServeError: A server cannot be started or has died, or no model loads. Everything is stopped by then.
        """
        self._handle_signals()
        folder = Path(tempfile.mkdtemp(prefix="hub2triton-"))
        guarding = Guard(self._prefix, folder)
        triton: Child | None = None
        shim: Shim | None = None
        try:
            start = launch(self._installation, self._options, folder, self._prefix, os.environ)
            try:
                triton = await Child.start(start.command, start.environment, guarding, self._triton_line)
            except OSError as error:
                raise ServeError(f"{start.command[0]} cannot be started: {error.strerror}.") from error
            if self._options.shim:
                shim = Shim(self._shim_command, self._options, guarding, self._report)
            await self._until_stopped(triton, shim, StubList(triton.pid, start.repository))
        finally:
            await self._end(triton, shim)
            guard.sweep(self._prefix, folder)
            guarding.close()

    async def _until_stopped(self, triton: Child, shim: Shim | None, stubs: StubList) -> None:
        """Serves; returns when asked to stop."""
        stop = self._spawn(self._stop.wait())
        ended = self._spawn(triton.wait())
        await asyncio.wait([stop, ended, self._spawn(self._serve(shim, stubs))], return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return
        if not ended.done():
            # A server that dies breaks connections first: that is not why.
            await asyncio.wait([stop, ended], timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await asyncio.sleep(0.2)  # for its last lines
            lines = [line for line in triton.tail if not line.startswith(TABLE)]
            raise ServeError(f"tritonserver {triton.ending()}. Its last lines:\n{indent(lines)}")
        for task in list(self._tasks):
            if task.done() and not task.cancelled():
                task.result()

    async def _serve(self, shim: Shim | None, stubs: StubList) -> None:
        """Loads and watches the models; returns only by an error."""
        background: list[asyncio.Task[Any]] = [self._spawn(self._tick())]
        await self._live()
        if shim:
            background.append(self._spawn(shim.keep()))
        background.append(self._spawn(self._watch(stubs)))
        loading = self._spawn(self._load(stubs, shim))
        pending: set[asyncio.Task[Any]] = {loading, *background}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _live(self) -> None:
        for _ in range(int(_START * 10)):
            if await self._control.live():
                return
            await asyncio.sleep(0.1)
        raise ServeError(f"tritonserver does not answer on {self._options.triton_target} after {_START:.0f} s.")

    async def _load(self, stubs: StubList, shim: Shim | None) -> None:
        loaded = await asyncio.gather(*(model.load(lambda: self._discover(stubs)) for model in self._models.values()))
        names = dict(zip(self._models, loaded, strict=True))
        if not any(loaded):
            hint = "" if self._options.verbose else " Run again with --verbose for the full text."
            raise ServeError(f"No model could be loaded ({', '.join(names)}); the reasons are above.{hint}")
        if shim:
            try:
                await asyncio.wait_for(shim.answers.wait(), _SHIM_ANSWERS)
            except TimeoutError as error:
                raise ServeError(f"The shim does not answer on port {self._options.port}.") from error
        ready = [model.directory for name, model in self._models.items() if names[name]]
        self._report.summary(self._options, ready, [name for name, fine in names.items() if not fine])

    async def _watch(self, stubs: StubList) -> None:
        """Repairs every model of which a process has died."""
        rounds = 0
        repairs: list[asyncio.Task[None]] = []
        while True:
            await asyncio.sleep(_WATCH)
            rounds += 1
            if rounds % _DISCOVER == 0 or any(model.state is State.LOADING for model in self._models.values()):
                self._discover(stubs)
            for model in self._models.values():
                dead = await model.dead_stub(lambda: self._discover(stubs))
                if dead:
                    repairs.append(self._spawn(model.repair(dead, lambda: self._discover(stubs))))
                    # The task has not run yet; until it does, the model must not be found dead again.
                    await asyncio.sleep(0)
            for repair in [repair for repair in repairs if repair.done()]:
                repair.result()  # one that fails otherwise than by a load is a fault of this program: it is not hidden
                repairs.remove(repair)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_WATCH)
            self._report.tick()

    def _discover(self, stubs: StubList) -> None:
        for stub in stubs.discover():
            if stub.model in self._models:
                self._models[stub.model].add(stub)

    def _triton_line(self, line: str) -> None:
        record = self._reader.read(line)
        if record is None:
            return
        if record.level in (Level.ERROR, Level.FATAL):
            self._errors.append(record)
        shown = self._sieve.shown(record)
        if shown:
            self._report.record(shown)

    def _logged(self, name: str) -> str | None:
        return next((record.text for record in reversed(self._errors) if f"'{name}'" in record.text), None)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        # One that failed is kept, for `_until_stopped` to raise its error.
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # Under nohup a hangup is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: int) -> None:
        if self._stop.is_set():
            self._hurry.set()
            return
        self._report.note(f"stopping ({signal.Signals(number).name}); once more to kill at once")
        self._stop.set()

    async def _end(self, triton: Child | None, shim: Shim | None) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)
        if shim:
            await shim.stop(self._hurry)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._control.close(), 0.5)
        if triton:
            await triton.stop(_TRITON_GRACE, self._hurry)

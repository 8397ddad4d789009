"""Keeps tritonserver and the shim running for one repository until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import ServeError
from hub2triton.serve import guard, shared_memory
from hub2triton.serve.backoff import Allowance, Backoff
from hub2triton.serve.control import Control
from hub2triton.serve.limits import Limits
from hub2triton.serve.model import ServedModel, State
from hub2triton.serve.noise import Sieve, has_gpu
from hub2triton.serve.process import Guard
from hub2triton.serve.restarts import FILE, Restart, Restarts
from hub2triton.serve.server import LogTail, Server
from hub2triton.serve.shim import Shims, shim_command
from hub2triton.serve.tritonserver import launch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.serve.options import Options
    from hub2triton.serve.report import Report
    from hub2triton.serve.repository import ModelDirectory
    from hub2triton.serve.tritonserver import Installation, Launch

_SHIM_ANSWERS = 30.0  # seconds
_WINDOW = 600.0  # seconds in which --max-restarts counts
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
        self._log = LogTail(report, Sieve(options.verbose, has_gpu(), frozenset(model.name for model in models)))
        self._control = Control(options.triton_target, options.grpc_port)
        limits = Limits(options.hang_timeout, options.model_memory, options.max_model_restarts)
        self._models = {
            model.name: ServedModel(model, self._control, report, self._prefix, self._log.error, limits)
            for model in models
        }
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._server: Server | None = None
        self._shims: Shims | None = None
        self._answers = asyncio.Event()  # tritonserver does
        self._summarised = False

    async def run(self) -> None:
        """Serves until SIGINT, SIGTERM or SIGHUP; a second signal kills at once.

        Raises:
            ServeError: A server cannot be started or has died too often, or no model loads. Everything is stopped by
                then.
        """
        self._handle_signals()
        folder = Path(tempfile.mkdtemp(prefix="hub2triton-"))
        guarding = Guard(self._prefix, folder)
        try:
            start = launch(self._installation, self._options, folder, self._prefix, os.environ)
            self._report.restarts = Restarts(self._models, folder / FILE)
            if self._options.shim:
                self._shims = Shims(self._shim_command, self._options, guarding, self._report, folder)
            if lack := shared_memory.lack(len(self._models)):
                self._report.note(f"note    {lack}")
            await self._until_stopped(start, guarding)
        finally:
            guard.sweep(self._prefix, folder)
            guarding.close()

    async def _until_stopped(self, start: Launch, guarding: Guard) -> None:
        """Serves until asked to stop, and stops everything."""
        stop = asyncio.create_task(self._stop.wait())
        serving = asyncio.create_task(self._keep(start, guarding))
        answering = asyncio.create_task(self._keep_shims())
        try:
            await asyncio.wait([stop, serving, answering], return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, answering):
                if task.done() and not self._stop.is_set():
                    task.result()
        finally:
            stop.cancel()
            until = time.monotonic() + (self._options.drain_timeout if self._stop.is_set() else 0)
            await _cancelled(answering)
            if self._shims:  # meanwhile the models are still watched and repaired, for what is in flight
                await self._shims.stop(max(0, until - time.monotonic()), self._hurry)
            await _cancelled(serving)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._control.close(), 0.5)
            if self._server:
                await self._server.stop(max(0, until - time.monotonic()), self._hurry)

    async def _keep(self, start: Launch, guarding: Guard) -> None:
        """Runs one tritonserver after the other until it is to stop.

        Raises:
            ServeError: One cannot be started, or has died too often, or no model loads.
        """
        backoff = Backoff()
        restarts = Allowance(self._options.max_restarts, _WINDOW)
        while True:
            server = await Server.start(start, self._models, self._control, self._report, self._log, guarding)
            self._server = server
            backoff.started()
            await server.serve(self._restore if self._summarised else self._load)
            if self._stop.is_set():
                return
            backoff.died()
            # One that never answered has the wrong arguments, or a port that is taken: another would be no better.
            hopeless = not self._answers.is_set()
            if hopeless or not restarts.spend():
                count, minutes = self._options.max_restarts, _WINDOW / 60
                why = "" if hopeless or not count else f", started again {count} times within {minutes:.0f} minutes"
                raise ServeError(f"tritonserver {server.ending}{why}. Its last lines:\n{await server.last_lines()}")
            again = f"again in {backoff.delay:.0f} s" if backoff.delay else "again at once"
            self._report.note(f"died    tritonserver {server.ending}; starting it {again}")
            self._report.server_restarted("tritonserver")
            await server.stop(0, self._hurry)
            guard.sweep_regions(self._prefix)
            for model in self._models.values():
                model.lose()
            await backoff.wait()

    async def _keep_shims(self) -> None:
        await self._answers.wait()
        if self._shims:
            await self._shims.keep()
        await self._stop.wait()

    async def _load(self, server: Server) -> None:
        """Loads all models, and says what answers where."""
        self._answers.set()
        loaded = await asyncio.gather(*(model.load(server.discover) for model in self._models.values()))
        names = dict(zip(self._models, loaded, strict=True))
        if not any(loaded):
            if not await self._control.live():
                return  # that is why, and `_keep` will know
            hint = "" if self._options.verbose else " Run again with --verbose for the full text."
            raise ServeError(f"No model could be loaded ({', '.join(names)}); the reasons are above.{hint}")
        if self._shims:
            try:
                await asyncio.wait_for(self._shims.answer(), _SHIM_ANSWERS)
            except TimeoutError as error:
                raise ServeError(f"The shim does not answer on port {self._options.port}.") from error
        ready = [model.directory for name, model in self._models.items() if names[name]]
        self._report.summary(self._options, ready, [name for name, fine in names.items() if not fine])
        self._summarised = True

    async def _restore(self, server: Server) -> None:
        """Loads the models into a server that took the place of one that died."""
        wanted = [model for model in self._models.values() if model.state is not State.UNLOADED]
        for model in wanted:
            self._report.restarted(model.name, Restart.SERVER)
        again = [model.restore(server.discover) for model in wanted if model.served]
        await asyncio.gather(*again, *(model.load(server.discover) for model in wanted if not model.served))

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


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits a moment for it; what it fails with by then is not why serving has ended."""
    task.cancel()
    await asyncio.wait([task], timeout=0.5)
    if task.done() and not task.cancelled():
        task.exception()

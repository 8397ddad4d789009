"""The shims as child processes, each started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from hub2triton.error import ServeError
from hub2triton.serve import restarts
from hub2triton.serve.backoff import STABLE, Backoff
from hub2triton.serve.options import reachable
from hub2triton.serve.process import Child, indent
from hub2triton.shim.command import API_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hub2triton.serve.options import Options
    from hub2triton.serve.process import Guard
    from hub2triton.serve.report import Report

_POLL = 0.1  # seconds between looks at whether it answers
_STARTS = 3  # ends before it ever answered, after which it is held to be unable to start
_FIGURES = "shims"  # the folder in which several keep what they count
_GRACE = 1.0  # seconds to end once it has no more requests


def shim_command(options: Options) -> tuple[str, ...]:
    """The command that starts the shim in front of the Triton of these options."""
    triton = options.triton_target
    return (
        sys.executable,
        "-m",
        "hub2triton.shim",
        *("--triton", f"{triton}:{options.grpc_port}"),
        *("--triton-metrics", f"http://{triton}:{options.metrics_port}/metrics"),
        *("--host", options.host, "--port", str(options.port), "--port-shared-by", str(options.shims)),
        *("--log-format", options.log_format.value),
        *("--allow-urls", options.allow_urls, "--drain-timeout", f"{options.drain_timeout:g}"),
        *(("--api-key-file", str(options.api_key_file)) if options.api_key_file else ()),
    )


def _keys(options: Options) -> dict[str, str]:
    """The keys for the shim. It gets those of serve-repo's command line by its environment, which others cannot see."""
    return {API_KEY: ",".join((os.environ.get(API_KEY, ""), *options.api_keys))} if options.api_keys else {}


class Shims:
    """Keeps all shims of one port running."""

    def __init__(self, command: Sequence[str], options: Options, guard: Guard, report: Report, folder: Path) -> None:
        """Starts nothing yet.

        Args:
            command: What starts one.
            options: How many there are, and where.
            guard: Told of them.
            report: Where they are told of.
            folder: Theirs, empty; together they keep their figures there. It holds `restarts.FILE`.
        """
        self._shims = [Shim(command, options, guard, report, folder) for _ in range(options.shims)]

    async def keep(self) -> None:
        """Starts them, and again whichever has ended; never returns.

        Raises:
            ServeError: One ends again and again.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for shim in self._shims:
                    group.create_task(shim.keep())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def answer(self) -> None:
        """Waits until all accept connections."""
        for shim in self._shims:
            await shim.answers.wait()

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ends them; see Shim.stop."""
        await asyncio.gather(*(shim.stop(seconds, hurry) for shim in self._shims))


class Shim:
    """Keeps a shim running."""

    def __init__(self, command: Sequence[str], options: Options, guard: Guard, report: Report, folder: Path) -> None:
        self.answers = asyncio.Event()
        self._command = command
        self._figures = folder / _FIGURES if options.shims > 1 else None
        self._environment = {**os.environ, **_keys(options), "HUB2TRITON_METRICS_FILE": str(folder / restarts.FILE)}
        if self._figures:
            self._figures.mkdir(exist_ok=True)
            self._environment["PROMETHEUS_MULTIPROC_DIR"] = str(self._figures)
        self._host = reachable(options.host).strip("[]")
        self._port = options.port
        self._restarts = options.max_restarts
        self._guard = guard
        self._report = report
        self._child: Child | None = None

    async def keep(self) -> None:
        """Starts it, and again whenever it has ended; never returns.

        Raises:
            ServeError: It ends again and again, without ever having answered or within seconds each time.
        """
        backoff = Backoff()
        for starts in range(1, sys.maxsize):
            if starts > 1:
                await backoff.wait()
            child = await Child.start(self._command, self._environment, self._guard, self._report.shim)
            self._child = child
            backoff.started()
            probing = asyncio.create_task(self._probe())
            await child.wait()
            probing.cancel()
            backoff.died()
            await child.stop(0, asyncio.Event())
            self._forget(child.pid)
            if starts >= _STARTS and not self.answers.is_set():
                message = f"The shim {child.ending()} {starts} times without having answered. Its last lines:"
                raise ServeError(f"{message}\n{indent(child.tail)}")
            if backoff.attempts >= self._restarts:
                often = f", started again {self._restarts} times in a row, for less than {STABLE:g} s each time"
                why = f"{child.ending()}{often if self._restarts else ''} (--max-restarts)"
                message = f"The shim {why}. Its last lines:"
                raise ServeError(f"{message}\n{indent(child.tail)}")
            again = f"again in {backoff.delay:.0f} s" if backoff.delay else "again at once"
            self._report.note(f"died    the shim {child.ending()}; starting it {again}")
            self._report.server_restarted("shim")

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ends it; call only once `keep` is cancelled.

        Args:
            seconds: That requests in flight may take; meanwhile it refuses others and says so of its health.
            hurry: Set to kill without waiting longer.
        """
        if self._child:
            await self._child.stop(seconds + _GRACE, hurry)

    def _forget(self, pid: int) -> None:
        """Takes what was under way in a process that has ended off the page; what it has counted stays."""
        if self._figures:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(pid, str(self._figures))  # type: ignore[no-untyped-call]

    async def _probe(self) -> None:
        """Waits until its port accepts connections."""
        while not self.answers.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(self._host, self._port)
                writer.close()
                self.answers.set()
            await asyncio.sleep(_POLL)

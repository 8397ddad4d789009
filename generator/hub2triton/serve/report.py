"""What serve-repo prints: the progress of loads, the log of the servers, and what answers where."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TextIO

from hub2triton.serve.options import reachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.serve.log import Record
    from hub2triton.serve.options import Options
    from hub2triton.serve.repository import ModelDirectory
    from hub2triton.serve.restarts import Restart, Restarts

_REMIND = 30.0  # seconds between lines about a load that takes long, where lines cannot be drawn over
_WIDTH = 110  # columns of the line that is drawn over


class Report:
    """Writes lines to one stream; on a terminal its last line shows the loads under way.

    Attributes:
        restarts: Counts the restarts it is told of; None while nobody asks for them.
    """

    restarts: Restarts | None = None

    def __init__(self, stream: TextIO, *, verbose: bool) -> None:
        self._stream = stream
        self._verbose = verbose
        self._live = stream.isatty()
        self._loading: dict[str, float] = {}
        self._reminded = time.monotonic()
        self._drawn = False

    def note(self, text: str) -> None:
        """A line of serve-repo's own."""
        self._line(text)

    def restarted(self, name: str, reason: Restart) -> None:
        """A model is being loaded again; the line about it is the caller's."""
        if self.restarts:
            self.restarts.model(name, reason)

    def server_restarted(self, name: str) -> None:
        """A server, tritonserver or shim, is being started again; the line about it is the caller's."""
        if self.restarts:
            self.restarts.server(name)

    def loading(self, name: str) -> None:
        """A load starts."""
        self._began(name)
        if self._live:
            self.tick()
        else:
            self._line(f"loading {name}")

    def ready(self, name: str) -> float:
        """A load has succeeded; returns its seconds."""
        seconds = self._taken(name)
        self._line(f"ready   {name} in {seconds:.1f} s")
        return seconds

    def failed(self, name: str, reason: str, full: str, retry: float | None = None) -> None:
        """A load has failed.

        Args:
            name: The model.
            reason: In one line.
            full: All that Triton says, shown with --verbose.
            retry: Seconds until the next attempt; None if there is none.
        """
        self._taken(name)
        again = "" if retry is None else f"; next attempt in {retry:.0f} s"
        self._line(f"failed  {name}: {reason}{again}")
        if self._verbose and full.strip() != reason:
            for line in full.splitlines():
                self._line(f"        {line}")

    def cancelled(self, name: str) -> None:
        """A load is no longer waited for."""
        self._taken(name)

    def record(self, record: Record) -> None:
        """A record of the servers' log."""
        first, *others = record.text.splitlines() or [""]
        head = f"{record.writer.value:<7} {record.level.value:<5} "
        self._line(head + first)
        for line in others:
            self._line(" " * len(head) + line)

    def shim(self, line: str) -> None:
        """A line the shim printed."""
        if line.strip():
            self._line(f"shim    {line}")

    def tick(self) -> None:
        """Brings the progress up to date; called a few times per second."""
        if not self._loading:
            return
        now = time.monotonic()
        parts = [f"{name} … {now - start:.1f} s" for name, start in self._loading.items()]
        if self._live:
            text = "loading " + ", ".join(parts)
            self._write(f"\r\x1b[K{text[:_WIDTH]}")
            self._drawn = True
        elif now - self._reminded >= _REMIND:
            self._reminded = now
            for part in parts:
                self._line(f"loading {part}")

    def summary(self, options: Options, ready: Sequence[ModelDirectory], failed: Sequence[str]) -> None:
        """What answers where."""
        triton = f"{options.triton_target}:"
        first = ready[0].name
        names = ", ".join(model.name for model in ready)
        lines = ["", f"Serving {names}" + (f" (not loaded: {', '.join(failed)})" if failed else "")]
        if options.shim:
            shim = f"http://{reachable(options.host)}:{options.port}"
            path = "/" if len(ready) + len(failed) == 1 else f"/models/{first}"
            lines += [
                f"  Hugging Face  curl {shim}{path} {_example(ready[0])}",
                f"  health        {shim}/health",
            ]
        else:
            lines.append(f"  health        http://{triton}{options.http_port}/v2/models/{first}/ready")
        lines += [
            f"  Triton HTTP   http://{triton}{options.http_port}/v2/models/{first}",
            f"  Triton gRPC   {triton}{options.grpc_port}",
            f"  metrics       http://{triton}{options.metrics_port}/metrics",
            "Ctrl-C stops it.",
        ]
        for line in lines:
            self._line(line)

    def _began(self, name: str) -> None:
        if not self._loading:
            self._reminded = time.monotonic()
        self._loading[name] = time.monotonic()

    def _taken(self, name: str) -> float:
        return time.monotonic() - self._loading.pop(name, time.monotonic())

    def _line(self, text: str) -> None:
        clear = "\r\x1b[K" if self._drawn else ""
        self._drawn = False
        self._write(f"{clear}{text}\n")
        if self._live:
            self.tick()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # Whoever read the output has gone (`serve-repo … | head`, a closed terminal): the models serve on.
            with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no path, but a device
                os.dup2(nowhere.fileno(), self._stream.fileno())


def _example(model: ModelDirectory) -> str:
    """The options of a curl command that asks for something the model answers."""
    spec = model.task
    return spec.example_options() if spec else """-d '{"inputs": "Hello"}'"""

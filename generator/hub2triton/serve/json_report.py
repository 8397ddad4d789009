"""What serve-repo tells as lines of JSON, for programs that collect logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton.log_line import Severity, line
from hub2triton.serve.log import Level
from hub2triton.serve.options import reachable
from hub2triton.serve.report import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.serve.log import Record
    from hub2triton.serve.options import Options
    from hub2triton.serve.repository import ModelDirectory

SOURCE = "serve-repo"

SEVERITIES = {
    Level.INFO: Severity.INFO,
    Level.OUTPUT: Severity.INFO,
    Level.WARN: Severity.WARNING,
    Level.ERROR: Severity.ERROR,
    Level.FATAL: Severity.ERROR,
}


class JsonReport(Report):
    """Writes a JSON object a line; what the shim writes is of that form already."""

    def note(self, text: str) -> None:
        """A line of serve-repo's own."""
        self._tell(Severity.WARNING, SOURCE, " ".join(text.split()))

    def loading(self, name: str) -> None:
        """A load starts."""
        self._began(name)
        self._tell(Severity.INFO, SOURCE, "loading", model=name)

    def ready(self, name: str) -> float:
        """A load has succeeded; returns its seconds."""
        seconds = self._taken(name)
        self._tell(Severity.INFO, SOURCE, "ready", model=name, seconds=round(seconds, 3))
        return seconds

    def failed(self, name: str, reason: str, full: str, retry: float | None = None) -> None:
        """A load has failed; see Report."""
        self._taken(name)
        more = {"full": full} if self._verbose and full.strip() != reason else {}
        self._tell(Severity.ERROR, SOURCE, "failed", model=name, error=reason, retry_s=retry, **more)

    def record(self, record: Record) -> None:
        """A record of the servers' log."""
        self._tell(SEVERITIES[record.level], record.writer.value, record.text)

    def shim(self, line: str) -> None:
        """A line the shim printed."""
        if line.startswith("{"):
            self._write(f"{line}\n")
        elif line.strip():
            self._tell(Severity.WARNING, "shim", line)

    def tick(self) -> None:
        """Nothing is drawn over here."""

    def summary(self, options: Options, ready: Sequence[ModelDirectory], failed: Sequence[str]) -> None:
        """What answers where."""
        triton = f"{options.triton_target}:"
        found = {
            "models": [model.name for model in ready],
            "failed": list(failed),
            "huggingface": f"http://{reachable(options.host)}:{options.port}/" if options.shim else None,
            "triton_http": f"http://{triton}{options.http_port}",
            "triton_grpc": f"{triton}{options.grpc_port}",
            "metrics": f"http://{triton}{options.metrics_port}/metrics",
        }
        self._tell(Severity.INFO, SOURCE, "serving; Ctrl-C stops it", **found)

    def _tell(self, severity: Severity, source: str, message: str, **more: object) -> None:
        self._write(line(severity, source, message, **more).decode())

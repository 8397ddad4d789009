"""How often models and servers had to be started again, told to the shim's page of metrics through a file."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, write_to_textfile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "restarts.prom"
"""In the folder of a run. A file outlives a shim that dies, and needs no port."""


class Restart(Enum):
    """Why a model was loaded again."""

    DIED = "died"
    HUNG = "hung"
    GROWN = "grown"
    SERVER = "server"


class Restarts:
    """Counts restarts, in a file for the shim that is replaced with each of them."""

    def __init__(self, models: Iterable[str], file: Path) -> None:
        """Begins with none.

        Args:
            models: Each is told of from the start, so that its first restart is seen as one more than none.
            file: Where the counts are kept, in Prometheus' text format.
        """
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the file
        self._file = file
        self._registry = registry = CollectorRegistry()
        self._models = Counter(
            "hub2triton_model_restarts_total",
            "Loads of a model in place of what died, hung or grew too large, or was lost with its server.",
            ("model", "reason"),
            registry=registry,
        )
        self._servers = Counter(
            "hub2triton_server_restarts_total", "Starts of a server that had died.", ("server",), registry=registry
        )
        for model in models:
            for reason in Restart:
                self._models.labels(model, reason.value)
        for server in ("tritonserver", "shim"):
            self._servers.labels(server)
        self._write()

    def model(self, name: str, reason: Restart) -> None:
        """A model is being loaded again."""
        self._models.labels(name, reason.value).inc()
        self._write()

    def server(self, name: str) -> None:
        """A server is being started again: tritonserver or shim."""
        self._servers.labels(name).inc()
        self._write()

    def _write(self) -> None:
        try:
            write_to_textfile(str(self._file), self._registry)
        except OSError:  # a full disk is no reason to leave a model dead
            return

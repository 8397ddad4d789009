"""One Prometheus page: the shim's own figures, those of serve-repo, and Triton's behind them."""

from __future__ import annotations

import asyncio
import os
import re
import time
import urllib.request
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from hub2triton.shim.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hub2triton.shim.model import Model

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PENDING = re.compile(r"^nv_inference_pending_request_count\{[^}]*\} (\d+)", re.MULTILINE)
TIMEOUT_S = 2.0

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

FAILED = 500


class Metrics:
    """Counts what passes through the shim.

    Attributes:
        in_flight: Requests that are being answered, those included whose model is not known yet.
    """

    def __init__(self, triton_url: str | None, file: Path | None = None, *, together: bool = False) -> None:
        """Begins with nothing counted.

        Args:
            triton_url: Where Triton tells its own figures; None leaves them out.
            file: Further figures in Prometheus' text format, which another process writes; None for none.
            together: Whether it is one of several shims whose figures make one page. They meet in the folder that
                PROMETHEUS_MULTIPROC_DIR named when this process started; without it, each has a page of its own.
        """
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the page
        self.in_flight = 0
        self._triton_url = triton_url
        self._file = file
        registry = CollectorRegistry()
        self._requests = Counter(
            "hub2triton_requests_total",
            "Requests answered, by model and HTTP status.",
            ("model", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "hub2triton_request_duration_seconds",
            "Time from a request's head to its answer, by model and class of HTTP status.",
            ("model", "status_class"),
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = Histogram(
            "hub2triton_request_rows",
            "Rows that one request asks of a model, such as the texts of a list.",
            ("model",),
            buckets=ROWS,
            registry=registry,
        )
        self._under_way = Gauge(
            "hub2triton_requests_in_flight",
            "Requests that models are asked now.",
            ("model",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        # This and inf_queue_size have the names that Hugging Face's own container gives them.
        self._all = Gauge(
            "inf_batch_current_size", "Requests that have come.", registry=registry, multiprocess_mode="livesum"
        )
        if together and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=registry)
        self._told = _Told()
        registry.register(self._told)
        self._registry = registry
        self._series: dict[str, _Series] = {}

    def begin(self) -> Measured:
        """A request has come; `end` must be called on what is returned."""
        self.in_flight += 1
        self._all.inc()
        return Measured(self)

    def gone(self) -> None:
        """A request that had come is answered."""
        self.in_flight -= 1
        self._all.dec()

    def refused(self, status: int) -> None:
        """A request was answered that nobody began to read."""
        self._requests.labels("", str(status)).inc()

    def series(self, model: str) -> _Series:
        """What is counted of one model; empty for requests that no model was found for."""
        found = self._series.get(model)
        if found is None:
            found = self._series[model] = _Series(model, self._requests, self._seconds, self._rows, self._under_way)
        return found

    async def page(self, models: Iterable[Model]) -> str:
        """The page in Prometheus' text format.

        Args:
            models: As Triton tells of them, or last told.
        """
        triton = await asyncio.to_thread(_fetch, self._triton_url) if self._triton_url else ""
        more = await asyncio.to_thread(_read, self._file) if self._file else ""
        self._told.models = tuple(models)
        self._told.waiting = sum(int(count) for count in PENDING.findall(triton))
        return generate_latest(self._registry).decode() + more + triton


class _Told:
    """What Triton tells, for the page: of several shims each would tell the same."""

    def __init__(self) -> None:
        self.models: tuple[Model, ...] = ()
        self.waiting = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("inf_queue_size", "Requests that wait in Triton's queues.", self.waiting)
        labels = ("model", "task", "model_id", "revision")
        about = "1 while a model can be asked; what it does and which one it is."
        ready = GaugeMetricFamily("hub2triton_model_ready", about, labels=labels)
        for model in self.models:
            task = model.spec.name if model.spec else ""
            ready.add_metric((model.name, task, model.model_id, model.revision), model.state is State.READY)
        yield ready


class Measured:
    """A request that is being answered."""

    __slots__ = ("_began", "_metrics", "_model", "_under_way")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._model = ""
        self._under_way = False
        self._began = time.perf_counter()

    def asks(self, model: str, rows: int) -> None:
        """It is read, and its model is going to be asked.

        Args:
            model: The name of one that was found: a caller must not be able to make up new series.
            rows: How many rows it asks.
        """
        series = self._metrics.series(model)
        series.rows.observe(rows)
        series.under_way.inc()
        self._model, self._under_way = model, True

    def end(self, model: str, status: int) -> None:
        """It is answered.

        Args:
            model: Its model's name, once that was found; else empty.
            status: The HTTP status.
        """
        self._metrics.gone()
        series = self._metrics.series(model)
        series.answered(status, time.perf_counter() - self._began)
        if self._under_way:
            self._metrics.series(self._model).under_way.dec()


class _Series:
    """The series of one model, looked up once: finding them by their labels takes longer than counting."""

    def __init__(self, model: str, requests: Counter, seconds: Histogram, rows: Histogram, under_way: Gauge) -> None:
        self._model = model
        self._requests = requests
        self._seconds = seconds
        self._by_status: dict[int, tuple[Counter, Histogram]] = {}
        if model:
            self.rows: Histogram = rows.labels(model)
            self.under_way: Gauge = under_way.labels(model)

    def answered(self, status: int, seconds: float) -> None:
        found = self._by_status.get(status)
        if found is None:
            found = (
                self._requests.labels(self._model, str(status)),
                self._seconds.labels(self._model, f"{status // 100}xx"),
            )
            self._by_status[status] = found
        count, histogram = found
        count.inc()
        histogram.observe(seconds)


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 (an address of the operator's)
            text: str = response.read().decode()
            return text
    except OSError as error:
        return f"# Triton's metrics at {url} cannot be read: {error}\n"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        return f"# The metrics in {file} cannot be read: {error}\n"

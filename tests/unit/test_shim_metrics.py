"""The shim's page for Prometheus, read by its own parser."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.unit.test_shim_app import READY, SETTINGS, StandIn

from hub2triton.serve.restarts import Restart, Restarts
from hub2triton.shim import app, catalogue
from hub2triton.shim.failure import NotReady
from hub2triton.shim.model import Model, State

TRITON = """\
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
# TYPE nv_inference_count counter
nv_inference_count{model="m",version="1"} 3
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="m",version="1"} 2
nv_inference_pending_request_count{model="other",version="1"} 5
"""

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(app, "Triton", lambda *_: stand_in)
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    monkeypatch.setattr(catalogue, "HOLD_S", 0.05)
    return stand_in


@pytest.fixture
def triton_metrics() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TRITON.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


@pytest.fixture
def http_(triton: StandIn) -> Iterator[TestClient]:
    with TestClient(app.create(SETTINGS), raise_server_exceptions=False) as client:
        yield client


def figures(page: str) -> Figures:
    """All series of a page by name and labels; no family and no series may be there twice."""
    found: Figures = {}
    families = set()
    for family in text_string_to_metric_families(page):
        assert family.name not in families, f"{family.name} is there twice"
        families.add(family.name)
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in found, f"{series} is there twice"
            found[series] = sample.value
    return found


def told(client: TestClient, name: str, **labels: str) -> float | None:
    return figures(client.get("/metrics").text).get((name, frozenset(labels.items())))


def test_requests_are_counted_by_the_model_that_answered(http_: TestClient) -> None:
    http_.post("/", json={"inputs": "x"})
    http_.post("/models/acme/tiny", json={"inputs": ["x", "y"]})
    http_.post("/", json={"inputs": 1})
    http_.post("/models/made-up", json={"inputs": "x"})
    assert told(http_, "hub2triton_requests_total", model="m", status="200") == 2
    assert told(http_, "hub2triton_requests_total", model="m", status="400") == 1
    assert told(http_, "hub2triton_requests_total", model="", status="404") == 1
    seconds = {"model": "m", "status_class": "2xx"}
    assert told(http_, "hub2triton_request_duration_seconds_count", **seconds) == 2
    assert 0 < (told(http_, "hub2triton_request_duration_seconds_sum", **seconds) or 0) < 60
    assert told(http_, "hub2triton_request_duration_seconds_bucket", **seconds, le="+Inf") == 2
    assert told(http_, "hub2triton_request_duration_seconds_count", model="m", status_class="4xx") == 1
    # Those that were never read have no rows.
    assert told(http_, "hub2triton_request_rows_sum", model="m") == 3
    assert told(http_, "hub2triton_request_rows_count", model="m") == 2
    page = http_.get("/metrics").text
    assert "made-up" not in page
    assert "_created" not in page
    assert "\ninf_batch_current_size 0.0\n" in page
    assert "\ninf_queue_size 0.0\n" in page


def test_a_failure_of_the_shims_own_is_counted(http_: TestClient, triton: StandIn) -> None:
    triton.failure = RuntimeError("no")
    assert http_.post("/", json={"inputs": "x"}).status_code == 500
    assert told(http_, "hub2triton_requests_total", model="m", status="500") == 1
    assert told(http_, "hub2triton_requests_in_flight", model="m") == 0
    assert told(http_, "inf_batch_current_size") == 0


async def test_requests_under_way_are_told(triton: StandIn) -> None:
    shim = app.Shim(SETTINGS)
    measured = shim.metrics.begin()
    before = figures(await shim.metrics.page([]))
    assert before["inf_batch_current_size", frozenset()] == 1
    measured.asks("m", 1)
    in_flight = ("hub2triton_requests_in_flight", frozenset({("model", "m")}))
    assert figures(await shim.metrics.page([]))[in_flight] == 1
    measured.end("m", 200)
    after = figures(await shim.metrics.page([]))
    assert (after[in_flight], after["inf_batch_current_size", frozenset()]) == (0, 0)


def test_states_of_models_are_told(http_: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"model": "m", "task": "sentence-embeddings", "model_id": "acme/tiny", "revision": "f00"}
    triton.served.append(Model("n", State.LOADING))
    assert told(http_, "hub2triton_model_ready", **known) == 1
    assert told(http_, "hub2triton_model_ready", model="n", task="", model_id="", revision="") == 0
    triton.served = [READY]
    assert told(http_, "hub2triton_model_ready", model="n", task="", model_id="", revision="") is None

    async def gone(*_: object, **__: object) -> dict[str, Model]:
        raise NotReady("Triton does not answer")

    monkeypatch.setattr(triton, "models", gone)
    assert told(http_, "hub2triton_model_ready", **known) == 0


@pytest.mark.usefixtures("triton")
def test_one_page_has_all(triton_metrics: str, tmp_path: Path) -> None:
    file = tmp_path / "restarts.prom"
    restarts = Restarts(["m", "n"], file)
    settings = dataclasses.replace(SETTINGS, triton_metrics=triton_metrics, metrics_file=file)
    with TestClient(app.create(settings)) as client:
        client.post("/", json={"inputs": "x"})
        restarts.model("m", Restart.DIED)
        restarts.model("m", Restart.DIED)
        restarts.server("shim")
        found = figures(client.get("/metrics").text)
    # Triton's counters do not end in _total, which the parser puts right.
    assert found["nv_inference_count_total", frozenset({("model", "m"), ("version", "1")})] == 3
    assert found["inf_queue_size", frozenset()] == 7
    assert found["hub2triton_requests_total", frozenset({("model", "m"), ("status", "200")})] == 1
    assert found["process_resident_memory_bytes", frozenset()] > 0
    counts = {labels: value for (name, labels), value in found.items() if name == "hub2triton_model_restarts_total"}
    assert counts.pop(frozenset({("model", "m"), ("reason", "died")})) == 2
    assert len(counts) == 2 * len(Restart) - 1
    assert set(counts.values()) == {0}
    assert found["hub2triton_server_restarts_total", frozenset({("server", "shim")})] == 1
    assert found["hub2triton_server_restarts_total", frozenset({("server", "tritonserver")})] == 0


@pytest.mark.usefixtures("triton")
def test_what_cannot_be_read_leaves_the_rest(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, triton_metrics="http://127.0.0.1:1/metrics", metrics_file=tmp_path)
    with TestClient(app.create(settings)) as client:
        page = client.get("/metrics").text
    assert figures(page)["inf_queue_size", frozenset()] == 0
    assert "# Triton's metrics at http://127.0.0.1:1/metrics cannot be read" in page
    assert f"# The metrics in {tmp_path} cannot be read" in page


def test_a_shim_alone_tells_nothing_of_restarts(http_: TestClient) -> None:
    assert "restarts" not in http_.get("/metrics").text

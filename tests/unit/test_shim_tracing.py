"""OpenTelemetry's spans of the shim, sent to a collector of the test's."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests import otlp
from tests.unit.test_shim_app import SETTINGS, StandIn

from hub2triton import collector
from hub2triton.shim import app, catalogue
from hub2triton.shim.command import main
from hub2triton.shim.failure import ModelFailed
from hub2triton.shim.model import Model
from hub2triton.tasks.spec import Answer, Call

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "xyzzy7"  # noqa: S105 - nobody's


class TracedTriton(StandIn):
    """Keeps the headers it is asked with."""

    headers: Mapping[str, str] | None = None

    async def infer(self, model: Model, call: Call, headers: Mapping[str, str] | None = None) -> list[Answer]:
        self.headers = headers
        return await super().infer(model, call)


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> TracedTriton:
    stand_in = TracedTriton()
    monkeypatch.setattr(app, "Triton", lambda *_: stand_in)
    monkeypatch.setattr(catalogue, "HOLD_S", 0.05)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return stand_in


@pytest.fixture
def collecting() -> Iterator[otlp.Collector]:
    with otlp.collecting() as found:
        yield found


def client(collecting: otlp.Collector) -> TestClient:
    traces = collector.endpoint({collector.ENDPOINT: collecting.url})
    settings = dataclasses.replace(SETTINGS, triton="127.0.0.1:8001", traces=traces)
    return TestClient(app.create(settings), raise_server_exceptions=False)


def of_caller(flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}


def test_a_request_and_what_triton_is_asked_are_spans(triton: TracedTriton, collecting: otlp.Collector) -> None:
    with client(collecting) as http:
        body = {"inputs": ["a", SECRET]}
        answer = http.post(f"/models/acme/tiny?normalize={True}", json=body, headers=of_caller())
        assert answer.status_code == 200
        spans = collecting.of(TRACE, 2)
    server, asked = sorted(spans, key=lambda span: span.kind)
    assert (server.kind, server.name, server.parent) == (otlp.SERVER, "POST /models/{name}", PARENT)
    assert server.service == "hub2triton-shim"
    known = {
        "http.request.method": "POST",
        "http.route": "/models/{name}",
        "http.response.status_code": 200,
        "url.path": "/models/acme/tiny",
        "hub2triton.model": "m",
        "hub2triton.task": "sentence-embeddings",
        "hub2triton.rows": 2,
        "hub2triton.request_id": answer.headers["x-request-id"],
    }
    assert known.items() <= server.attributes.items()
    assert (asked.kind, asked.parent) == (otlp.CLIENT, server.id)
    assert {
        "rpc.system": "grpc",
        "server.address": "127.0.0.1",
        "server.port": 8001,
    }.items() <= asked.attributes.items()
    assert triton.headers == {"traceparent": f"00-{TRACE}-{asked.id}-01"}
    assert collecting.paths == {"/v1/traces"}
    assert not [body for body in collecting.received if SECRET.encode() in body]


def test_what_the_caller_does_not_trace_is_not_traced(triton: TracedTriton, collecting: otlp.Collector) -> None:
    with client(collecting) as http:
        http.post("/", json={"inputs": "a"}, headers=of_caller("00"))
        assert triton.headers == {}  # Triton would trace it all the same
        http.post("/", json={"inputs": "a"})
    assert collecting.spans
    assert TRACE not in {span.trace for span in collecting.spans}


def test_failures_and_probes(triton: TracedTriton, collecting: otlp.Collector) -> None:
    triton.failure = ModelFailed(f"ValueError: {SECRET}")
    with client(collecting) as http:
        for path in ("/", "/health", "/metrics"):
            http.get(path)
        http.post("/", json={"inputs": "a"}, headers=of_caller())
        triton.failure = RuntimeError(SECRET)
        http.post("/", json={"inputs": "a"}, headers=of_caller())
        http.post("/nope", headers=of_caller())
    spans = collecting.of(TRACE, 5)
    assert {span.trace for span in collecting.spans} == {TRACE}
    assert sorted(span.name for span in spans) == [
        "POST",
        "POST /",
        "POST /",
        *["inference.GRPCInferenceService/ModelInfer"] * 2,
    ]
    assert sorted(span.attributes.get("error.type", "") for span in spans) == [
        *["", ""],
        *["ModelFailed", "RuntimeError", "RuntimeError"],
    ]
    assert not [body for body in collecting.received if SECRET.encode() in body]


def test_a_collector_that_is_not_there_delays_nothing(triton: TracedTriton) -> None:
    nowhere = otlp.Collector("http://127.0.0.1:1")
    with client(nowhere) as http:
        assert http.post("/", json={"inputs": "a"}).status_code == 200


def test_nothing_is_imported_where_nobody_asked_for_traces() -> None:
    code = (
        "import sys; from hub2triton.shim import app; app.create(app.Settings(triton='localhost:1')); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({collector.ENDPOINT: ""}, None),
        ({collector.ENDPOINT: "http://c:4318"}, "http://c:4318/v1/traces"),
        ({collector.ENDPOINT: "https://c/base/"}, "https://c/base/v1/traces"),
        ({collector.ENDPOINT: "http://c", collector.TRACES_ENDPOINT: "http://t/own"}, "http://t/own"),
        ({collector.ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "true"}, None),
        ({collector.ENDPOINT: "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({collector.ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://c/v1/traces"),
    ],
)
def test_where_traces_are_sent_to(environment: dict[str, str], url: str | None) -> None:
    assert collector.endpoint(environment) == url
    assert collector.check(environment) == url


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "set it to http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'grpc'"),
        ({collector.ENDPOINT: "collector:4317"}, "a URL such as http://localhost:4318"),
    ],
)
def test_what_cannot_be_is_told(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ({collector.ENDPOINT: "http://c"} | environment).items():
        monkeypatch.setenv(name, value)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("hf-shim: ")
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("missing", [None, ModuleNotFoundError("No module named 'opentelemetry'")])
def test_missing_packages_are_named(missing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: str) -> None:
        if missing:
            raise missing

    monkeypatch.setattr(collector, "find_spec", find)
    with pytest.raises(collector.CollectorError, match=r"pip install 'hub2triton\[otel\]'"):
        collector.check({collector.ENDPOINT: "http://c"})
    assert collector.check({}) is None

"""What the real servers tell of themselves: metrics, logs, traces, and what a dashboard makes of them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests import otlp
from tests.e2e import service
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

MODEL = "faults"
PATIENCE_S = 60.0
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "xyzzy7"  # noqa: S105 - nobody's
DASHBOARD = Path(__file__).parents[2] / "docker/grafana/hub2triton.json"
NAME = re.compile(r"\b(?:hub2triton|inf|nv|process)_\w+")


@pytest.fixture(scope="module")
def collecting() -> Iterator[otlp.Collector]:
    with otlp.collecting() as found:
        yield found


@pytest.fixture(scope="module")
def served(
    tiny: Callable[[str], Path], collecting: otlp.Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    output = tmp_path_factory.mktemp("observed") / "model_repository"
    service.generate(tiny(MODEL), "custom", MODEL, output)
    command = [str(service.BIN / "serve-repo"), str(output), "--log-format", "json", "--hang-timeout", "2"]
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    yield from service.start(command, environment)


def ask(served: Service, inputs: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{served.url}/models/{MODEL}", json={"inputs": inputs}, headers=headers, timeout=PATIENCE_S)


def page(served: Service) -> str:
    return httpx.get(f"{served.url}/metrics", timeout=PATIENCE_S).text


def restarts(served: Service, reason: str) -> float:
    """How often the model was loaded again for a reason."""
    families = {family.name: family for family in text_string_to_metric_families(page(served))}
    samples = families["hub2triton_model_restarts"].samples
    return next(sample.value for sample in samples if sample.labels == {"model": MODEL, "reason": reason})


def wait_for(what: str, check: Callable[[], bool], served: Service) -> None:
    until = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE_S:.0f} s\n{served.output}"
        time.sleep(0.05)


def logged(served: Service) -> list[dict[str, Any]]:
    """All that was printed: nothing but JSON."""
    return [json.loads(line) for line in served.lines]


def test_one_trace_has_the_spans_of_the_shim_and_of_triton(served: Service, collecting: otlp.Collector) -> None:
    assert ask(served, SECRET, traceparent=f"00-{TRACE}-{PARENT}-01").status_code == 200
    spans = collecting.of(TRACE, 5)
    by_id = {span.id: span for span in spans}
    (server,) = [span for span in spans if span.parent == PARENT]
    (compute,) = [span for span in spans if span.name == "compute"]
    assert server.service == "hub2triton-shim"
    line = [compute]
    while line[-1] is not server:
        line.append(by_id[line[-1].parent])
    names = ["compute", MODEL, "InferRequest", "inference.GRPCInferenceService/ModelInfer", "POST /models/{name}"]
    assert [span.name for span in line] == names
    assert len({span.service for span in line}) == 2
    assert not [body for body in collecting.received if SECRET.encode() in body]


def test_what_nobody_traces_is_not_traced_by_triton(served: Service, collecting: otlp.Collector) -> None:
    untraced = TRACE[::-1]
    assert ask(served, "a", traceparent=f"00-{untraced}-{PARENT}-00").status_code == 200
    traced = TRACE.replace("0", "1")
    assert ask(served, "a", traceparent=f"00-{traced}-{PARENT}-01").status_code == 200
    collecting.of(traced, 5)  # Triton sends its spans in the order of the requests
    assert untraced not in {span.trace for span in collecting.spans}


def test_a_request_is_logged_without_its_payload(served: Service) -> None:
    answer = ask(served, SECRET, **{"x-request-id": "mine", "authorization": f"Bearer {SECRET}"})
    wait_for("the line", lambda: any(line.get("request_id") == "mine" for line in logged(served)), served)
    (line,) = [line for line in logged(served) if line.get("request_id") == "mine"]
    told = {"source": "shim", "level": "info", "model": MODEL, "task": "custom", "status": 200, "rows": 1}
    assert told.items() <= line.items()
    assert line["bytes_out"] == len(answer.content)
    assert SECRET not in served.output
    assert {"serve-repo", "shim"} <= {line["source"] for line in logged(served)}


def test_restarts_are_told_by_their_reasons(served: Service) -> None:
    assert [restarts(served, reason) for reason in ("died", "hung", "grown", "server")] == [0, 0, 0, 0]
    served.model_processes(MODEL)[0].kill()
    wait_for("a death", lambda: restarts(served, "died") == 1, served)
    wait_for("an answer", lambda: ask(served, "a").status_code == 200, served)
    with pytest.raises(httpx.TimeoutException):
        httpx.post(served.url, json={"inputs": "deadlock"}, timeout=1.0)
    wait_for("a hang", lambda: restarts(served, "hung") >= 1, served)
    wait_for("an answer", lambda: ask(served, "a").status_code == 200, served)
    assert restarts(served, "grown") == 0
    messages = [line["message"] for line in logged(served) if line["source"] == "serve-repo"]
    assert any(message.startswith(f"died {MODEL}: its process") for message in messages)


def test_what_was_lost_with_its_server_and_servers_are_told(served: Service) -> None:
    def started_again() -> dict[str, float]:
        families = {family.name: family for family in text_string_to_metric_families(page(served))}
        return {sample.labels["server"]: sample.value for sample in families["hub2triton_server_restarts"].samples}

    assert started_again() == {"tritonserver": 0, "shim": 0}
    (triton,) = [child for child in psutil.Process(served.process.pid).children() if child.name() == "tritonserver"]
    triton.kill()
    wait_for("a restart", lambda: restarts(served, "server") == 1, served)
    assert started_again() == {"tritonserver": 1, "shim": 0}
    wait_for("an answer", lambda: ask(served, "a").status_code == 200, served)


def test_the_dashboard_asks_for_what_is_there(served: Service) -> None:
    assert ask(served, "a").status_code == 200
    text = page(served)
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    # By the names of the page: the parser gives Triton's counters the ending that they lack.
    there = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {panel["title"]: [target["expr"] for target in panel.get("targets", [])] for panel in panels}
    expressions = [expression for of_panel in asked.values() for expression in of_panel]
    assert len(expressions) >= 15
    for expression in expressions:
        found = set(NAME.findall(expression))
        assert found, expression
        assert found <= there, expression

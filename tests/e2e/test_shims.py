"""Several shims on one port: each answers its part, and together they are one server to whoever looks on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e import service
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

SHIMS = 3
PATIENCE_S = 30.0
WORK_S = 0.02
"""CPU time that a shim does not take in so short a time unless it answers requests."""


@pytest.fixture(scope="module")
def several(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A model behind several shims."""
    output = tmp_path_factory.mktemp("several")
    service.generate(tiny("distilbert_sentiment"), "text-classification", "tiny", output)
    yield from service.start([str(service.BIN / "serve-repo"), str(output), "--shims", str(SHIMS)])


def shims(several: Service) -> list[psutil.Process]:
    """Their processes."""
    children = psutil.Process(several.process.pid).children(recursive=True)
    return [child for child in children if "hub2triton.shim" in child.cmdline()]


def total(several: Service, name: str, **labels: str) -> float:
    """Of all series of a name on the page of whichever answers."""
    page = httpx.get(f"{several.url}/metrics").text
    samples = [
        sample for family in text_string_to_metric_families(page) if family.name == name for sample in family.samples
    ]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def ask(several: Service, count: int) -> None:
    """So many requests, each on a connection of its own: the kernel gives it to one of the shims."""
    for _ in range(count):
        answer = httpx.post(several.url, json={"inputs": "a dog"})
        assert answer.status_code == 200, answer.text


def test_all_answer_and_count_together(several: Service) -> None:
    assert len(shims(several)) == SHIMS
    before = {process.pid: sum(process.cpu_times()[:2]) for process in shims(several)}
    counted = total(several, "hub2triton_requests", model="tiny", status="200")
    ask(several, 200)
    assert all(sum(process.cpu_times()[:2]) - before[process.pid] > WORK_S for process in shims(several))
    # Whichever is asked for the page tells the same.
    found = {total(several, "hub2triton_requests", model="tiny", status="200") for _ in range(20)}
    assert found == {counted + 200}
    assert total(several, "hub2triton_requests_in_flight") == 0
    assert total(several, "hub2triton_model_ready", model="tiny") == 1


def test_one_that_dies_is_started_again_beside_the_others(several: Service) -> None:
    ask(several, 1)
    counted = total(several, "hub2triton_requests", model="tiny", status="200")
    victim = shims(several)[0]
    victim.kill()
    victim.wait()
    until = time.monotonic() + PATIENCE_S
    while len(shims(several)) < SHIMS or "died    the shim was killed by SIGKILL" not in several.output:
        assert time.monotonic() < until, several.output
        time.sleep(0.1)
    assert victim.pid not in {process.pid for process in shims(several)}
    ask(several, 50)
    assert total(several, "hub2triton_requests", model="tiny", status="200") == counted + 50
    assert total(several, "inf_batch_current_size") == 0
    assert total(several, "hub2triton_server_restarts", server="shim") == 1


def test_all_end_in_order(several: Service) -> None:
    processes = shims(several)
    several.process.terminate()
    assert several.process.wait(20) == 0, several.output
    assert not any(process.is_running() for process in processes)

"""A model of every task in one tritonserver, all at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from tests import models
from tests.e2e.conftest import Load
from tests.e2e.service import Service

from hub2triton import tasks
from hub2triton.tasks.spec import TaskSpec

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def all_tasks(served: Service, load: Load, tiny: Callable[[str], Path]) -> Service:
    """The server with one more model for each task, named as the task."""
    load(*((name, tiny(models.FAMILIES[name][0]), name) for name in tasks.names()))
    return served


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_the_example_of_a_task(all_tasks: Service, spec: TaskSpec) -> None:
    response = httpx.post(f"{all_tasks.url}/models/{spec.name}", content=spec.example_json().encode(), timeout=120)
    assert response.status_code == 200, response.text
    assert response.json()


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_a_payload_of_no_task(all_tasks: Service, spec: TaskSpec) -> None:
    for body in ({"inputs": 5}, {"inputs": None}, {"inputs": []}, {"inputs": {"nonsense": 1}}, {}):
        response = httpx.post(f"{all_tasks.url}/models/{spec.name}", json=body, timeout=120)
        assert response.status_code == 400, f"{body}: {response.status_code} {response.text}"
        assert isinstance(response.json()["error"], str)


def test_all_at_once_fit_into_a_small_machine(all_tasks: Service) -> None:
    info = httpx.get(f"{all_tasks.url}/info").json()
    ready = {model["name"] for model in info["models"] if model["state"] == "ready"}
    assert set(tasks.names()) <= ready
    family = [psutil.Process(all_tasks.process.pid), *psutil.Process(all_tasks.process.pid).children(recursive=True)]
    gib = sum(process.memory_full_info().pss for process in family) / 2**30
    print(f"{len(ready)} models in one tritonserver hold {gib:.1f} GiB")
    assert gib < 8

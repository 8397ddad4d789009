"""The OpenAPI document of a server with all tasks, and requests made up from it: no 5xx, no hang, nobody dies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests import fuzz
from tests.e2e.service import Service

from hub2triton import tasks

pytestmark = pytest.mark.e2e

EXAMPLES = 12
"""Right requests to each route, and as many wrong ones."""

ANSWER_S = 60.0
"""What takes longer hangs; the examples are short, but the machine may be busy with all models at once."""

FAULTY = ("faulty",)
"""The model among those served that fails on purpose."""


@pytest.fixture(scope="module")
def client(all_tasks: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=all_tasks.url, timeout=ANSWER_S) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> OpenApiSchema:
    return fuzz.read(document, without=FAULTY)


@pytest.fixture(scope="module")
def processes(all_tasks: Service) -> dict[str, list[int]]:
    """The processes of the models before the first made-up request."""
    return processes_of(all_tasks)


def processes_of(service: Service) -> dict[str, list[int]]:
    return {name: [process.pid for process in service.model_processes(name)] for name in tasks.names()}


def test_the_document_is_valid_and_tells_every_route(document: dict[str, Any], operations: OpenApiSchema) -> None:
    operations.validate()
    assert set(fuzz.PATHS) <= document["paths"].keys()


@pytest.mark.parametrize("path", fuzz.PATHS)
def test_the_example_of_a_route(path: str, client: httpx.Client, operations: OpenApiSchema) -> None:
    operation = operations[path]["POST"]
    example = operation.definition.raw["requestBody"]["content"]["application/json"]["example"]
    if path in tasks.endpoints():
        example = {**example, "model": next(spec.name for spec in tasks.SPECS if spec.endpoint(path))}
    response = client.post(path, json=example, headers={"accept": "application/json"})
    assert response.status_code == 200, response.text
    operation.validate_response(response)


@pytest.mark.parametrize("path", fuzz.PATHS)
def test_made_up_requests(
    path: str, client: httpx.Client, operations: OpenApiSchema, processes: dict[str, list[int]]
) -> None:
    # Half of them and more, as a rule; were it none, only refusals would be tried.
    assert fuzz.run(operations, path, client, EXAMPLES) >= EXAMPLES // 3


def test_nobody_died_of_them(client: httpx.Client, all_tasks: Service, processes: dict[str, list[int]]) -> None:
    assert client.get("/health").status_code == 200
    assert all(processes.values())
    assert processes_of(all_tasks) == processes

"""Every family of models of every task answers over HTTP what the reference library answers on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import cases, models, reference
from tests.e2e.conftest import loading
from tests.e2e.service import Service

from hub2triton import tasks

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("task", sorted(models.FAMILIES))
def test_families(task: str, served: Service, repository: Path, tiny: Callable[[str], Path]) -> None:
    if task in reference.WITHOUT:
        pytest.skip(f"no library to compare with: {reference.WITHOUT[task]}")
    families = models.FAMILIES[task]
    assert len(families) > 1
    with loading(served, repository) as load:
        load(*((f"{task}--{family}", tiny(family), task) for family in families))
        told = [
            f"{family}, {case.parameters}: {difference}"
            for family in families
            for case, wanted in expected(task, family, tiny(family))
            if (difference := reference.difference(asked(served, f"{task}--{family}", case), wanted)) is not None
        ]
    assert not told


def expected(task: str, family: str, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Requests to a family with the answers of the reference; those that were stored as well."""
    for case in cases.cases(task, family):
        yield case, reference.answer(task, folder, case.inputs, case.parameters)
    for stored in cases.stored(task, family):
        yield stored, stored.answer


def asked(served: Service, model: str, case: Any) -> Any:
    """The answer over HTTP."""
    body = {"inputs": case.inputs, "parameters": case.parameters}
    headers = {"accept": "application/json"}  # for tasks whose answer is a file as well
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, f"{model}, {case}: {response.text}"
    return response.json()


def test_every_task_has_families() -> None:
    assert models.FAMILIES.keys() == set(tasks.names())

"""Requests that once went wrong, sent again: each is refused, and its model goes on."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from benchmarks import bad_inputs
from tests.e2e.service import Service

from hub2triton import tasks

pytestmark = pytest.mark.e2e

FILES = sorted((Path(__file__).parents[2] / "files" / "bad-inputs").glob("*.json"))
PATIENCE_S = 120


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_input_is_refused(all_tasks: Service, file: Path) -> None:
    told = json.loads(file.read_text(encoding="utf-8"))
    request = bad_inputs.read(file)
    name = request.target.split("/")[2].partition("?")[0]
    before = all_tasks.model_processes(name)
    headers = {"content-type": request.type} if request.type else {}
    url = f"{all_tasks.url}{request.target}"
    answer = httpx.post(url, content=request.body, headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == told["status"], answer.text
    assert told["says"] in answer.json()["error"]
    assert "Traceback" not in answer.text
    spec = tasks.find(name)
    assert spec is not None
    example = spec.example_json().encode()
    assert httpx.post(f"{all_tasks.url}/models/{name}", content=example, timeout=PATIENCE_S).status_code == 200
    assert all_tasks.model_processes(name) == before


def test_there_are_some() -> None:
    assert len(FILES) > 5

"""docs/clients.md tells what tests/e2e/all_tasks calls; `pytest tests/unit/test_clients_table.py --update-golden`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.clients.calls import JAVASCRIPT, PYTHON, Call

from hub2triton import tasks

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"

HEAD = """\
# Clients

What the tests call on a served model of each task, with the real clients and no mocks: huggingface_hub's
`InferenceClient` and `AsyncInferenceClient` of its present version and of 0.36, `@huggingface/inference`, and the
package openai. A method stands here if its answer has the form that the client's own documentation promises.

| Task | huggingface_hub | @huggingface/inference | openai, and other routes |
|---|---|---|---|
"""


def methods(calls: tuple[Call, ...], task: str) -> str:
    return ", ".join(dict.fromkeys(f"`{call.method}`" for call in calls if call.task == task))


def page() -> str:
    """The page as it must be."""
    lines = []
    for name in tasks.names():
        spec = tasks.find(name)
        assert spec is not None
        routes = ", ".join(f"`{endpoint.path}`" for endpoint in spec.endpoints)
        lines.append(f"| `{name}` | {methods(PYTHON, name)} | {methods(JAVASCRIPT, name)} | {routes} |\n")
    return HEAD + "".join(lines)


def test_the_table_of_clients(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "accept with: pytest tests/unit/test_clients_table.py --update-golden"


def test_every_call_is_to_a_task() -> None:
    assert {call.task for call in (*PYTHON, *JAVASCRIPT)} <= set(tasks.names())

"""The references that tests are held against are themselves held against stored answers, where there are some."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import reference
from tests.oracle import question_answering, record

from hub2triton import tasks


def test_every_task_has_a_reference_or_a_reason() -> None:
    named = [*reference.references(), *reference.WITHOUT]
    assert sorted(named) == tasks.names()
    assert all(len(reason) > 20 for reason in reference.WITHOUT.values())


@pytest.mark.parametrize(
    "case", record.stored(question_answering.NAME), ids=lambda case: f"{case.model}-{case.parameters}"
)
def test_the_reference_for_questions_answers_as_transformers_4(tiny: Callable[[str], Path], case: record.Case) -> None:
    found = reference.answer("question-answering", tiny(case.model), case.inputs, case.parameters)
    assert reference.difference(found, case.answer) is None


@pytest.mark.parametrize(
    ("found", "wanted", "told"),
    [
        ({"a": 1.0}, {"a": 1.00009}, None),
        ({"a": 1.0}, {"a": 1.0002}, "answer.a is 1.0 instead of 1.0002"),
        ([1, 2], [1, 2.0], None),
        ([1, 2.0], [1, 2], "answer[1] is 2.0 instead of 2"),
        ([1], [1, 2], "answer is another list: [1] instead of [1, 2]"),
        ({}, [], "answer is another list: {} instead of []"),
        ([{"a": "x"}], [{"a": "y"}], "answer[0].a is 'x' instead of 'y'"),
        ({"a": 1, "b": 1}, {"a": 1}, "answer has other keys: {'a': 1, 'b': 1} instead of {'a': 1}"),
        (True, 1, "answer is True instead of 1"),
        (None, 0.5, "answer is None instead of 0.5"),
        (float("nan"), 0.5, "answer is nan instead of 0.5"),
        ("1", 1, "answer is '1' instead of 1"),
    ],
)
def test_differences_are_told(found: Any, wanted: Any, told: str | None) -> None:
    assert reference.difference(found, wanted) == told


def test_answers_are_what_json_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = {"score": np.float32(0.5), "vectors": [np.zeros(2)], "at": (1, 2)}
    monkeypatch.setattr(reference, "references", lambda: {"x": lambda *_: made})
    found = reference.answer("x", tmp_path, None, {})
    assert json.dumps(found) == '{"score": 0.5, "vectors": [[0.0, 0.0]], "at": [1, 2]}'

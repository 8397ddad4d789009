"""Every family of every task, generated and asked in this process, against the reference library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import cases, models, reference
from tests.asked import Asked

PAIRS = [(task, family) for task in sorted(models.FAMILIES) for family in models.FAMILIES[task]]


@pytest.mark.parametrize(("task", "family"), PAIRS, ids=[f"{task}--{family}" for task, family in PAIRS])
def test_a_family_answers_as_its_reference(task: str, family: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    if task in reference.WITHOUT:
        pytest.skip(f"no library to compare with: {reference.WITHOUT[task]}")
    asked = Asked(task, tiny(family), tmp_path)
    for case in cases.cases(task, family):
        wanted = reference.answer(task, tiny(family), case.inputs, case.parameters)
        assert reference.difference(asked(case.inputs, **case.parameters), wanted) is None, case
    for stored in cases.stored(task, family):
        assert reference.difference(asked(stored.inputs, **stored.parameters), stored.answer) is None, stored

"""The README's table of tasks is the registry's; `pytest tests/unit/test_readme.py --update-golden` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub2triton.tasks import table

README = Path(__file__).parents[2] / "README.md"
TABLE = re.compile(r"\| Task \| .*?(?=\n\n)", re.DOTALL)


def test_the_table_of_tasks_is_the_registrys(request: pytest.FixtureRequest) -> None:
    text = README.read_text()
    (shown,) = TABLE.findall(text)
    wanted = table.markdown().rstrip()
    if request.config.getoption("--update-golden"):
        README.write_text(text.replace(shown, wanted))
        return
    assert shown == wanted

"""SECURITY.md: every threat names tests that are there, and every attack stands in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "SECURITY.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)


def threats() -> list[str]:
    """The lines of the table, without its headings."""
    table = TEXT.partition("| Threat |")[2].partition("\n\n")[0]
    return [line for line in table.splitlines()[2:] if not line.startswith("| **")]


def functions(path: Path) -> set[str]:
    """The tests of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}
    return {name for name in found if name.startswith("test_")}


@pytest.mark.parametrize("line", threats(), ids=lambda line: line.split("|")[1].strip()[:60])
def test_a_threat_names_tests_that_are_there(line: str) -> None:
    _, threat, answer, tests, _ = line.split("|")
    assert threat.strip()
    assert answer.strip()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert named
    assert tests.count("`") == 2 * len(named)
    for module, test in named:
        assert test in functions(TESTS / module), f"{module} has no {test}"


@pytest.mark.parametrize("module", sorted((TESTS / "e2e/attacks").glob("test_*.py")), ids=lambda path: path.stem)
def test_an_attack_stands_in_the_table(module: Path) -> None:
    own = {test for path, test in NAMED if path == f"e2e/attacks/{module.name}"}
    others = {"test_each_key_opens_in_every_spelling_of_the_scheme"}  # no attack, but what must go on to work
    assert functions(module) - others == own

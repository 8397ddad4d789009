from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests import generated

from hub2triton import tasks
from hub2triton.generate import difference, manifest

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def digests(files: dict[str, str]) -> dict[str, str]:
    return {path: manifest.digest(content.encode()) for path, content in files.items()}


def generate(folder: Path, files: dict[str, str]) -> None:
    put(folder, files)
    plan = generated.plan_of(tasks.SPECS[0], tasks.SPECS[0].library)
    put(folder, {manifest.FILE: manifest.Manifest.of(plan, digests(files)).to_json()})


@pytest.mark.parametrize(
    ("written", "by_hand", "wanted", "kind"),
    [
        (None, None, "new", "added"),
        ("old", None, "new", "changed"),
        ("old", "edited", "old", "edited"),
        ("old", "edited", "new", "conflicts"),
        ("old", "new", "new", None),  # the user was first
        ("old", None, "old", None),
        ("old", None, None, "removed"),
        ("old", "edited", None, "conflicts"),
        (None, "own", None, "foreign"),
        (None, "own", "new", "conflicts"),
        (None, "new", "new", None),
    ],
)
def test_a_path_is_of_one_kind(
    written: str | None, by_hand: str | None, wanted: str | None, kind: str | None, tmp_path: Path
) -> None:
    generate(tmp_path, {"1/file": written} if written else {})
    if by_hand:
        put(tmp_path, {"1/file": by_hand})
    found = difference.compare(tmp_path, digests({"1/file": wanted} if wanted else {}))
    assert {name: paths for name, paths in dataclasses.asdict(found).items() if paths} == (
        {kind: ("1/file",)} if kind else {}
    )
    assert found.none == (kind in (None, "edited", "foreign"))
    assert len(found.lines()) == (kind is not None)


def test_a_file_that_was_deleted_is_added_again(tmp_path: Path) -> None:
    generate(tmp_path, {"a": "x", "b": "y"})
    (tmp_path / "a").unlink()
    assert difference.compare(tmp_path, digests({"a": "x", "b": "y"})) == difference.Difference(added=("a",))


def test_what_python_and_the_manifest_leave_behind_is_no_difference(tmp_path: Path) -> None:
    generate(tmp_path, {"1/model.py": "x"})
    put(tmp_path, {"1/__pycache__/model.pyc": "", "1/hf_runtime/__pycache__/row.pyc": ""})
    assert difference.compare(tmp_path, digests({"1/model.py": "x"})) == difference.Difference()


def test_a_models_own_manifest_is_a_file_like_others(tmp_path: Path) -> None:
    files = {"1/weights/manifest.json": "x"}
    generate(tmp_path, files)
    assert difference.compare(tmp_path, digests(files)) == difference.Difference()


def test_only_folders_within_the_model_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "__pycache__"
    generate(folder, {"a": "x"})
    assert difference.compare(folder, digests({"a": "y"})).changed == ("a",)


def test_a_folder_that_is_not_there_lacks_everything(tmp_path: Path) -> None:
    found = difference.compare(tmp_path / "none", digests({"b": "", "a": ""}))
    assert found == difference.Difference(added=("b", "a"))


def test_lines_name_the_kind_and_the_path() -> None:
    found = difference.Difference(("a",), ("b",), ("c",), ("d",), ("e",), ("f", "g"))
    assert found.lines() == [
        "added: a",
        "changed: b",
        "removed: c",
        "edited by hand: d",
        "by hand, and would be lost: e",
        "not from here: f",
        "not from here: g",
    ]

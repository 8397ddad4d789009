from pathlib import Path

import pytest

from hub2triton.error import ServeError, UsageError
from hub2triton.serve.repository import find_models


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("b", "a", ".cache"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").touch()
    return tmp_path


def test_strays_are_ignored(repository: Path) -> None:
    assert [model.name for model in find_models(repository)] == ["a", "b"]


def test_names_restrict(repository: Path) -> None:
    assert [model.config for model in find_models(repository, ["b"])] == [repository / "b" / "config.pbtxt"]


def test_an_unknown_name_lists_those_there(repository: Path) -> None:
    with pytest.raises(UsageError, match=r"No model c in .*There are: a, b\."):
        find_models(repository, ["a", "c"])


def test_nothing_there(repository: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_models(repository / "none")
    with pytest.raises(UsageError, match="is not a folder"):
        find_models(repository / "README.md")
    with pytest.raises(ServeError, match="generate-repo"):
        find_models(repository / "notes")


def test_a_model_given_for_a_repository(repository: Path) -> None:
    with pytest.raises(ServeError, match=f"serve-repo {repository}"):
        find_models(repository / "a")

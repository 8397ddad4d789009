"""A model's folder is written as a whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hub2triton.error import UsageError
from hub2triton.generate import repository

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The place of a model's folder, in a repository that is not there yet."""
    return tmp_path / "place/repository/model"


@pytest.fixture
def old(target: Path) -> dict[str, bytes]:
    """The same with a model in it."""
    write(target, {"a": b"old", "1/b": b"old"})
    return content(target)


def write(target: Path, contents: dict[str, bytes | Path], *keep: str, link: bool = False) -> None:
    repository.write(target, contents, keep, link=link)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def left_behind(target: Path) -> list[Path]:
    """Staging folders, wherever they may be."""
    return [*target.parents[1].rglob(f"{repository.STAGING}*"), *target.parents[2].glob(f"{repository.STAGING}*")]


def test_bytes_and_files_are_put_into_place(target: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"from a file")
    write(target, {"config.pbtxt": b"text", "1/weights/deep/x": tmp_path / "source"})
    assert content(target) == {"1/weights/deep/x": b"from a file", "config.pbtxt": b"text"}
    assert left_behind(target) == []


def test_the_folder_is_replaced_with_what_is_kept_of_it(target: Path, old: dict[str, bytes]) -> None:
    (target / "1/own").write_bytes(b"own")
    write(target, {"a": b"new", "1/b": b"new"}, "1/own", "1/b")
    assert content(target) == {"a": b"new", "1/b": b"old", "1/own": b"own"}
    assert left_behind(target) == []


def test_what_is_neither_written_nor_kept_is_gone(target: Path, old: dict[str, bytes]) -> None:
    write(target, {"c": b"new"})
    assert content(target) == {"c": b"new"}


def test_files_are_copied(target: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    write(target, {"x": tmp_path / "source"})
    assert not (target / "x").samefile(tmp_path / "source")


def test_files_are_linked_where_they_may_be(target: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"x")
    (tmp_path / "link").symlink_to(blob)
    write(target, {"x": tmp_path / "link"}, link=True)
    assert not (target / "x").is_symlink()
    assert (target / "x").samefile(blob)


def test_files_are_copied_where_links_cannot_be(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "source").write_bytes(b"x")
    write(target, {"x": tmp_path / "source"}, link=True)
    assert content(target) == {"x": b"x"}


def test_an_edited_file_is_not_written_through_a_link(target: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"the Hub's")
    write(target, {"x": blob}, link=True)
    (target / "x").unlink()
    (target / "x").write_bytes(b"edited")  # as editors save
    write(target, {"x": blob}, "x", link=True)
    assert content(target) == {"x": b"edited"}
    assert blob.read_bytes() == b"the Hub's"
    assert not (target / "x").samefile(blob)


def test_a_repository_that_is_a_link_is_written_to(target: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target.parent.parent.mkdir()
    target.parent.symlink_to(tmp_path / "elsewhere")
    write(target, {"a": b"x"})
    assert content(tmp_path / "elsewhere") == {"model/a": b"x"}


@contextmanager
def disk_full() -> Iterator[None]:
    """No file may grow beyond 1000 bytes: what the system says of a full disk, it says of this.

    No fixture: pytest writes its own output, which may be a longer file, before a fixture ends.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("from_file", [False, True])
def test_a_full_disk_leaves_what_was_there(
    from_file: bool, target: Path, old: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"x" * 5000)
    large = tmp_path / "source" if from_file else b"x" * 5000
    told = r"model cannot be written: .*\. Nothing was changed; make room"
    with disk_full(), pytest.raises(UsageError, match=told):
        write(target, {"a": b"new", "x": large})
    assert content(target) == old
    assert left_behind(target) == []


def test_a_full_disk_leaves_nothing_where_nothing_was(target: Path) -> None:
    with disk_full(), pytest.raises(UsageError):
        write(target, {"a": b"x", "x": b"x" * 5000})
    assert not target.exists()
    assert left_behind(target) == []


def test_a_file_in_the_place_of_the_repository_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=f"{tmp_path}/file/model cannot be written: "):
        write(tmp_path / "file/model", {"a": b"x"})


def test_a_source_that_is_gone_is_told(target: Path, old: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"No such file or directory \({tmp_path}/gone\)"):
        write(target, {"a": b"new", "x": tmp_path / "gone"})
    assert content(target) == old


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("moves_before", [0, 1])
def test_a_failure_between_the_two_moves_leaves_what_was_there(
    failure: Any, moves_before: int, target: Path, old: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, moved = Path.rename, []

    def failing(path: Path, to: Path) -> Path:
        moved.append(path)
        if len(moved) == moves_before + 1:
            raise failure
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else UsageError):
        write(target, {"a": b"new"})
    assert content(target) == old
    assert left_behind(target) == []


def test_an_interruption_leaves_what_was_there(
    target: Path, old: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(target, {"a": b"new", "x": tmp_path})
    assert content(target) == old
    assert left_behind(target) == []


def test_a_half_written_folder_is_never_in_the_repository(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, seen = shutil.copyfile, []

    def watched(source: Path, place: Path) -> None:
        seen.append(sorted(target.parent.iterdir()))
        copy(source, place)

    monkeypatch.setattr(shutil, "copyfile", watched)
    (tmp_path / "source").touch()
    write(target, {"a": tmp_path / "source"})
    assert seen == [[]]


def test_what_a_killed_run_left_is_swept_away_and_a_running_ones_is_not(target: Path) -> None:
    place = target.parents[1]
    ended = subprocess.Popen(["true"])
    ended.wait()
    stale = place / f"{repository.STAGING}{ended.pid}-abc"
    running = place / f"{repository.STAGING}{os.getpid()}-abc"
    foreign = place / f"{repository.STAGING}notes"
    for folder in (stale, running, foreign):
        (folder / "new").mkdir(parents=True)
    write(target, {"a": b"x"})
    assert not stale.exists()
    assert running.exists()
    assert foreign.exists()


def test_a_folder_that_a_killed_run_had_moved_away_is_put_back(target: Path, old: dict[str, bytes]) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    away = target.parents[1] / f"{repository.STAGING}{ended.pid}-abc" / repository.OLD
    away.mkdir(parents=True)
    target.rename(away / target.name)
    write(target.with_name("another"), {"a": b"x"})
    assert content(target) == old
    assert left_behind(target) == []

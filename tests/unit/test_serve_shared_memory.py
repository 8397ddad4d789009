from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hub2triton.serve import shared_memory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
BLOCK = 4096


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A shared memory whose size and free part a test sets."""
    found = SimpleNamespace(f_frsize=BLOCK, f_blocks=1024 * MIB // BLOCK, f_bavail=1024 * MIB // BLOCK)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    return found


def test_a_large_one_is_not_spoken_of(system: SimpleNamespace) -> None:
    assert shared_memory.lack(100) is None


def test_exactly_enough_is_enough(system: SimpleNamespace) -> None:
    system.f_bavail = shared_memory.AMPLE // BLOCK
    assert shared_memory.lack(2) is None
    system.f_bavail -= 1
    assert shared_memory.lack(2) is not None


def test_that_of_a_container_is_told_with_the_next_step(system: SimpleNamespace) -> None:
    system.f_blocks = system.f_bavail = 64 * MIB // BLOCK
    said = shared_memory.lack(2) or ""
    assert "64 MiB free of 64 MiB" in said
    assert "--shm-size 1g" in said
    assert "may be refused" in said


def test_one_in_which_models_cannot_start(system: SimpleNamespace) -> None:
    system.f_bavail = 3 * MIB // BLOCK
    assert "needs 1 MiB to start" not in (shared_memory.lack(3) or "")
    said = shared_memory.lack(4) or ""
    assert "3.0 MiB free" in said
    assert "needs 1 MiB to start" in said
    assert "--shm-size 1g" in said


def test_where_there_is_none_nothing_is_said(tmp_path: Path) -> None:
    assert shared_memory.lack(1, tmp_path / "none") is None

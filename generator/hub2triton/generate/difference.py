"""How a model's folder differs from what a generation would write into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub2triton.generate import manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IGNORED_FOLDERS = frozenset({"__pycache__"})


@dataclass(frozen=True)
class Difference:
    """Paths by what would happen to them.

    Attributes:
        added: Would be written, and are not there.
        changed: Would be written with another content.
        removed: Were written by an earlier generation, and would not be any more.
        edited: Were changed by hand since they were written, and would stay as they are.
        conflicts: Were changed or put there by hand, and would be written anew or removed.
        foreign: Were never written by a generation.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """Whether a generation would change nothing."""
        return not (self.added or self.changed or self.removed or self.conflicts)

    def lines(self) -> list[str]:
        """One line a path, for people."""
        marks = {
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "edited by hand": self.edited,
            "by hand, and would be lost": self.conflicts,
            "not from here": self.foreign,
        }
        return [f"{mark}: {path}" for mark, paths in marks.items() for path in paths]


def compare(folder: Path, wanted: Mapping[str, str]) -> Difference:
    """Compares a folder with the digests that a generation would write, and with what the last one wrote."""
    last = manifest.load(folder)
    written = last.files if last else {}
    there = _digests(folder)
    added, changed, edited, conflicts = [], [], [], []
    for path, digest in wanted.items():
        now, before = there.get(path), written.get(path)
        if now is None:
            added.append(path)
        elif now == digest:
            continue
        elif now == before:
            changed.append(path)
        elif digest == before:
            edited.append(path)
        else:
            conflicts.append(path)
    removed: list[str] = []
    for path in sorted((written.keys() & there.keys()) - wanted.keys()):
        (removed if there[path] == written[path] else conflicts).append(path)
    return Difference(
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        edited=tuple(edited),
        conflicts=tuple(conflicts),
        foreign=tuple(sorted(there.keys() - written.keys() - wanted.keys())),
    )


def _digests(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        relative.as_posix(): manifest.file_digest(path)
        for relative, path in files.items()
        if relative.as_posix() != manifest.FILE and not IGNORED_FOLDERS & set(relative.parts)
    }

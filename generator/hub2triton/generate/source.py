"""Where a model comes from: a Hub repository pinned to a commit, or a local directory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Origin(Enum):
    """The place a model's files are taken from."""

    HUB = "hub"
    LOCAL = "local"


@dataclass(frozen=True)
class SourceFile:
    """One file of the model.

    Attributes:
        path: Relative to the model's root, with forward slashes.
        size: In bytes; None where the Hub does not say.
    """

    path: str
    size: int | None


@dataclass(frozen=True)
class Source:
    """A model whose revision is fixed, and what its place says about it.

    Attributes:
        model_id: `org/name` on the Hub, or a local directory's own name.
        revision: The commit sha on the Hub; None for a local directory.
        pipeline_tag: The task of the Hub's metadata or of the model card, where there is one.
        library_name: The library of the Hub's metadata or of the model card, where there is one.
        files: All files at that revision, sorted by path.
        ref: The branch or tag that the revision was found by; None where it was not found by name.
        root: The local directory; None for the Hub.
    """

    origin: Origin
    model_id: str
    revision: str | None
    pipeline_tag: str | None
    library_name: str | None
    files: tuple[SourceFile, ...]
    ref: str | None = None
    root: Path | None = None

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(file.path for file in self.files)

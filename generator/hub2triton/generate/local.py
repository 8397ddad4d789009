"""A model in a local directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import UsageError
from hub2triton.generate import card
from hub2triton.generate.source import Origin, Source, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator


def resolve(path: Path) -> Source:
    """Describes the model in a directory.

    Whether the directory holds a model at all is not asked here: that depends on the task.

    Args:
        path: The directory, in any spelling ('.', with a trailing slash, through a symbolic link).

    Raises:
        UsageError: There is no such directory, it cannot be read, or it has no name a model could take.
    """
    # Not Path.resolve(): a link `current -> build-117` keeps the name its user gave it.
    root = Path(os.path.abspath(path))  # noqa: PTH100
    if not root.is_dir():
        reason = "is a file" if root.exists() else "does not exist"
        message = f"'{path}' {reason}. Give the directory that holds the model's config.json and weights, or a Hub id."
        raise UsageError(message)
    if not root.name:
        message = f"'{path}' is the root of the file system, which has no name to call the model by."
        raise UsageError(message)
    files = list_files(root)
    about = card.read(root)
    return Source(
        origin=Origin.LOCAL,
        model_id=root.name,
        revision=None,
        pipeline_tag=about.pipeline_tag,
        library_name=about.library_name,
        files=files,
        root=root,
    )


def list_files(root: Path) -> tuple[SourceFile, ...]:
    """Lists the files of a model's directory, sorted by path.

    A link to a file counts as that file, as in the Hub's own cache. Links to directories are not followed (they may
    lead outside, or around in circles), nor are hidden folders and __pycache__ entered: no model keeps its files
    there, while .git and .cache hold many.

    Raises:
        UsageError: A folder cannot be read.
    """
    return tuple(sorted(_walk(root), key=lambda file: file.path))


def _walk(root: Path) -> Iterator[SourceFile]:
    for folder, folders, names in os.walk(root, onerror=_refuse):
        # In place: os.walk enters what is left in this list. Its links to directories are not entered anyway.
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in names:
            file = Path(folder, name)
            # Leaves out broken links, sockets and the like.
            if file.is_file():
                yield SourceFile(path=file.relative_to(root).as_posix(), size=file.stat().st_size)


def _refuse(error: OSError) -> None:
    message = f"'{error.filename}' cannot be read: {error.strerror}. Make it readable, or give another directory."
    raise UsageError(message) from error

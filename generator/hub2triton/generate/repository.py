"""Writing a model's folder: all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STAGING = ".hub2triton-"
OLD = "old"


def write(target: Path, contents: Mapping[str, bytes | Path], keep: Iterable[str], *, link: bool) -> None:
    """Puts a model's folder into place.

    The folder is built beside the repository and moved with one rename, so that a tritonserver that looks into
    the repository never sees half a model, and a failure leaves what was there before.

    Args:
        target: The model's folder.
        contents: By path: the bytes to write, or the file to take.
        keep: Paths in the present folder to carry over.
        link: Whether files may be hard links to where they are taken from.

    Raises:
        UsageError: The output cannot be written: no permission, no space, or something else is in its place.
    """
    kept = frozenset(keep)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging(target.parent) as aside:
            folder = aside / "new"
            # Never both for one path: writing over a hard link would change the file it was taken from.
            taken = dict(contents) | {path: target / path for path in kept}
            for path, content in taken.items():
                put(folder / path, content, link=link and path not in kept)
            _swap(folder, target, aside / OLD / target.name)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}{where}. Nothing was changed; "
            "make room or choose another --output"
        ) from None


def put(place: Path, content: bytes | Path, *, link: bool) -> None:
    """Writes bytes, or takes a file: as a hard link where that is wanted and possible."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        place.write_bytes(content)
        return
    source = content.resolve()
    if link:
        with suppress(OSError):  # another file system, or one without hard links
            os.link(source, place)
            return
    shutil.copyfile(source, place)


def _swap(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    old.parent.mkdir()
    try:
        target.rename(old)
        new.rename(target)
    except BaseException:  # an interruption too must not leave the user without the folder
        if old.exists() and not target.exists():
            old.rename(target)
        raise


@contextmanager
def staging(repository: Path) -> Iterator[Path]:
    """A folder on the repository's file system, outside of it where possible: Triton takes any folder for a model.

    The repository itself need not exist yet.
    """
    while not repository.exists():
        repository = repository.resolve().parent
    beside = repository.resolve().parent
    same_device = beside.stat().st_dev == repository.stat().st_dev
    parent = beside if same_device and os.access(beside, os.W_OK) else repository
    _sweep(parent, repository)
    folder = Path(tempfile.mkdtemp(prefix=f"{STAGING}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path, repository: Path) -> None:
    """Clears up behind a run that was killed: puts back a folder that it had moved away, and removes the rest."""
    for left in parent.glob(f"{STAGING}*"):
        pid = left.name.removeprefix(STAGING).split("-")[0]
        if not pid.isdigit() or Path("/proc", pid).exists():
            continue
        for old in left.glob(f"{OLD}/*"):
            if not (repository / old.name).exists():
                old.rename(repository / old.name)
        shutil.rmtree(left, ignore_errors=True)

"""The Hub's local cache: which snapshots of a model are there, and under which names.

Its layout (refs/<name> holds a commit, snapshots/<commit>/ the files) is documented by huggingface_hub as common to
all that use the cache.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")


def find(model_id: str, revision: str | None) -> Path | None:
    """Finds the snapshot of a revision, without asking the Hub.

    Args:
        model_id: As it was given when the files were fetched.
        revision: A branch, tag or commit (whole, or abbreviated to at least 7 digits); None for the main branch.

    Returns:
        The snapshot's folder, named after its commit; it may lack files. None where nothing is cached.

    Raises:
        OSError: The cache cannot be read.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if revision is not None and _ABBREVIATED.fullmatch(revision):
        matching = [commit for commit in commits(model_id) if commit.startswith(revision)]
        if len(matching) == 1:
            revision = matching[0]
    try:
        # No files are asked for, so that a snapshot that lacks some is still found.
        folder = Path(snapshot_download(model_id, revision=revision, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None
    return folder if folder.is_dir() else None


def commits(model_id: str) -> tuple[str, ...]:
    """The commits of a model of which files are cached, the latest fetched first."""
    folder = _storage(model_id) / "snapshots"
    try:
        found = [entry for entry in folder.iterdir() if entry.is_dir()]
        found.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    except OSError:
        return ()
    return tuple(entry.name for entry in found)


def remember(snapshot: Path, name: str) -> None:
    """Notes which commit a branch or tag meant, so that the same name is found offline.

    huggingface_hub does so only for files fetched by that name, not for those fetched by commit. A cache that cannot
    be written (a read-only mount, say) stays as it is: the files were found there, and that is what counts.

    Args:
        snapshot: The snapshot's folder, named after its commit.
        name: The branch or tag.
    """
    commit = snapshot.name
    if name == commit:
        return
    file = snapshot.parent.parent / "refs" / name
    with contextlib.suppress(OSError):
        if file.is_file() and file.read_text() == commit:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and moved, since others may read it meanwhile.
        aside = file.with_name(f".{file.name}.{os.getpid()}")
        aside.write_text(commit)
        aside.replace(file)


def _storage(model_id: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser() / "--".join(["models", *model_id.split("/")])

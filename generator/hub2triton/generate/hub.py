"""A model on the Hugging Face Hub: what it is at a pinned commit, and its files.

huggingface_hub is imported inside the functions, to keep --help fast, and only its public API is used, so that
versions from 0.34 to 2.x serve.
"""

from __future__ import annotations

import contextlib
import glob
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import HubError
from hub2triton.generate import card, hub_cache, local
from hub2triton.generate.hub_failure import in_words
from hub2triton.generate.hub_request import HubRequest, endpoint
from hub2triton.generate.source import Origin, Source, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huggingface_hub.hf_api import ModelInfo

_USER_AGENT = "hub2triton"
_MAIN = "main"
_MOST_NAMED = 3


def resolve(model_id: str, *, revision: str | None, token: str | None, offline: bool) -> Source:
    """Describes a model of the Hub at one commit; downloads nothing.

    Args:
        model_id: `org/name`, or the `name` of the oldest models.
        revision: A branch, tag or commit; None for the main branch.
        token: None for the one huggingface_hub finds by itself (HF_TOKEN, `hf auth login`), if any.
        offline: Look only into the local cache, as with HF_HUB_OFFLINE=1. The files are then those that are cached,
            which may not be all; task and library are those of the cached README.md.

    Returns:
        The model, its revision the full commit sha.

    Raises:
        UsageError: The id or the revision cannot be one.
        HubError: The Hub does not give the model, or, offline, it is not cached.
    """
    from huggingface_hub import HfApi, constants

    request = HubRequest.of(model_id, revision, token)
    with in_words(request, offer_cached=True):
        if offline or constants.HF_HUB_OFFLINE:
            return _resolve_cached(request)
        # The API client has no limit of its own, in seconds, and would wait for ever.
        info = HfApi(library_name=_USER_AGENT).model_info(
            model_id,
            revision=revision,
            token=request.token,
            files_metadata=True,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        )
        if info.gated:
            _check_access(request)
        return _source(info, request)


def download(source: Source, paths: Sequence[str], *, token: str | None, offline: bool) -> Path:
    """Brings files of a model into the Hub's cache, showing progress where stderr is a terminal.

    Files that are there already are not fetched again.

    Args:
        source: As `resolve` gave it.
        paths: Which of its files; no others are fetched.
        token: As for `resolve`.
        offline: Fetch nothing, as with HF_HUB_OFFLINE=1.

    Returns:
        The snapshot's folder, in which all of the paths are.

    Raises:
        HubError: A file does not come, or, offline, is not cached.
    """
    from huggingface_hub import constants, hf_hub_download, snapshot_download

    if source.origin is not Origin.HUB or source.revision is None:
        message = f"{source.model_id} is not on the Hub"
        raise ValueError(message)
    request = HubRequest.of(source.model_id, source.revision, token)
    sizes = {file.path: file.size for file in source.files if file.path in set(paths)}
    sizes.update((path, None) for path in paths if path not in sizes)

    if offline or constants.HF_HUB_OFFLINE:
        with in_words(request):
            cached = hub_cache.find(source.model_id, request.revision)
        missing = list(sizes) if cached is None else _not_whole(cached, sizes)
        if cached is None or missing:
            raise HubError(_absent(request, missing))
        return cached

    with in_words(request), _quiet_unless_terminal():
        folder = Path(
            snapshot_download(
                source.model_id,
                revision=request.revision,
                # Names are taken for patterns: brackets and stars in them must mean themselves.
                allow_patterns=[glob.escape(path) for path in sizes],
                token=request.token,
                library_name=_USER_AGENT,
            )
        )
        # Where the Hub fails half way, the snapshot comes back as it is in the cache, and a file damaged there counts
        # as present. Asking for such a file by name repairs it, or raises the reason.
        for path in _not_whole(folder, sizes):
            damaged = (folder / path).exists()
            hf_hub_download(
                source.model_id, path, revision=request.revision, token=request.token, force_download=damaged
            )
    missing = _not_whole(folder, sizes)
    if missing:
        message = (
            f"{_listed(missing)} of {request} did not arrive whole in {folder}. Remove that folder and run the same "
            "command again."
        )
        raise HubError(message)
    if source.ref is not None:
        hub_cache.remember(folder, source.ref)
    return folder


def _source(info: ModelInfo, request: HubRequest) -> Source:
    if not info.sha:
        message = f"'{request.model_id}' has no commit on {endpoint()}. Upload its files first, or give another model."
        raise HubError(message)
    files = [SourceFile(path=sibling.rfilename, size=sibling.size) for sibling in info.siblings or ()]
    return Source(
        origin=Origin.HUB,
        # As asked, not info.id: a renamed model is cached under the id it is asked by, here as in transformers.
        model_id=request.model_id,
        revision=info.sha,
        pipeline_tag=info.pipeline_tag,
        library_name=info.library_name,
        files=tuple(sorted(files, key=lambda file: file.path)),
        ref=request.revision or _MAIN,
    )


def _resolve_cached(request: HubRequest) -> Source:
    folder = hub_cache.find(request.model_id, request.revision)
    files = local.list_files(folder) if folder is not None else ()
    if folder is None or not files:
        raise HubError(_absent(request, []))
    about = card.read(folder)
    return Source(
        origin=Origin.HUB,
        model_id=request.model_id,
        revision=folder.name,
        pipeline_tag=about.pipeline_tag,
        library_name=about.library_name,
        files=files,
    )


def _check_access(request: HubRequest) -> None:
    # The Hub describes gated models to all, and refuses only their files: better told now than after the plan.
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        HfApi(library_name=_USER_AGENT).auth_check(request.model_id, token=request.token)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError as error:
        # The model was described a moment ago, so this is about access. Mirrors without this route answer otherwise.
        raise GatedRepoError(str(error), response=error.response) from error
    except HfHubHTTPError:
        return


def _not_whole(folder: Path, sizes: dict[str, int | None]) -> list[str]:
    return [
        path
        for path, size in sizes.items()
        if not (folder / path).is_file() or (size is not None and (folder / path).stat().st_size != size)
    ]


def _absent(request: HubRequest, paths: Sequence[str]) -> str:
    from huggingface_hub import constants

    what = f"{_listed(paths)} of {request}" if paths else str(request)
    named = [] if request.revision is None else ["--revision", request.revision]
    command = shlex.join(["hf", "download", request.model_id, *paths[:_MOST_NAMED], *named])
    others = hub_cache.commits(request.model_id) if not paths else ()
    cached = f" Cached are the commits {', '.join(others[:_MOST_NAMED])}: --revision takes one." if others else ""
    return (
        f"{what} is not in the local cache ({constants.HF_HUB_CACHE}), and nothing can be fetched offline "
        f"(--offline, or HF_HUB_OFFLINE=1).{cached} While online, run the same command without it, or `{command}`."
    )


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(f"'{path}'" for path in paths[:_MOST_NAMED]) + more


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    # By default huggingface_hub draws some of its bars into logs and pipes too.
    from huggingface_hub import constants
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None  # by the user's environment, which goes first
    if decided or sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()

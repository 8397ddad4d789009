"""What went wrong between this machine and the Hub, in words: one paragraph, ending in the next thing to try."""

from __future__ import annotations

import contextlib
import errno
import json
from typing import TYPE_CHECKING

from hub2triton.error import Hub2TritonError, HubError
from hub2triton.generate import hub_cache
from hub2triton.generate.hub_request import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingface_hub.errors import HfHubHTTPError

    from hub2triton.generate.hub_request import HubRequest

# huggingface_hub speaks HTTP through requests before 1.0, httpx since then and httpx2 since 2.0, and lets their errors
# through. Told apart by name, none of them needs to be a dependency.
_HTTP_LIBRARIES = {"requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2"}

# How each of them calls a connection that ends in the middle of an answer.
_BROKEN_OFF = {"ChunkedEncodingError", "RemoteProtocolError", "ReadError"}

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MOST_NAMES = 8

_TOKEN_HINT = "(in the variable HF_TOKEN or that of --token-env, or by `hf auth login`)"  # noqa: S105 - says where one is given


@contextlib.contextmanager
def in_words(request: HubRequest, *, offer_cached: bool = False) -> Iterator[None]:
    """Turns every failure of huggingface_hub into a HubError; what is none (a bug, Ctrl-C) passes as it is.

    Args:
        request: What was asked.
        offer_cached: Whether to point to --offline where some of the model is cached.

    Raises:
        HubError: In place of the failure. No token is ever part of its text.
    """
    try:
        yield
    except Hub2TritonError:
        raise
    except Exception as error:
        message = explain(error, request)
        if message is None:
            raise
        if offer_cached:
            message += _cached_hint(request)
        raise HubError(request.without_secrets(message)) from error


def explain(error: Exception, request: HubRequest) -> str | None:
    """Says what a failure means and what to try; None where it is not one of the Hub or of the cache."""
    from huggingface_hub import errors

    error = _cause(error)
    # From the special to the general: most of these derive from each other, and all from OSError.
    words: list[tuple[type[Exception], Callable[..., str | None]]] = [
        (errors.GatedRepoError, _gated),
        (errors.RevisionNotFoundError, _no_revision),
        (errors.LocalEntryNotFoundError, _incomplete),
        (errors.EntryNotFoundError, _no_file),
        (errors.DisabledRepoError, _disabled),
        (errors.RepositoryNotFoundError, _no_repository),
        (errors.OfflineModeIsEnabled, _unreachable),
        (errors.HfHubHTTPError, _refused),
        (errors.FileMetadataError, _not_a_hub),
        (json.JSONDecodeError, _not_a_hub),
    ]
    for kind, say in words:
        if isinstance(error, kind):
            return say(error, request)
    library = type(error).__module__.partition(".")[0]
    if library in _HTTP_LIBRARIES:
        # The JSONDecodeError of requests may be its own.
        return _not_a_hub(error, request) if isinstance(error, ValueError) else _unreachable(error, request)
    # hf_xet, which transfers the large files, reports most of its failures as plain RuntimeErrors.
    if library == "hf_xet" or type(error) in {errors.XetDownloadError, RuntimeError}:
        return _incomplete(error, request)
    return _disk(error, request) if isinstance(error, OSError) else None


def _cause(error: Exception) -> Exception:
    # "Not in the cache either" is how a failed look at the Hub ends; the failure itself says more.
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    while isinstance(error.__cause__, Exception) and (
        isinstance(error, LocalEntryNotFoundError)
        or (isinstance(error, ValueError) and not isinstance(error, HfHubHTTPError))
    ):
        error = error.__cause__
    return error


def _gated(_: Exception, request: HubRequest) -> str:
    sent = "The token in use has no access to it" if _has_token(request) else "No token was sent"
    return (
        f"'{request.model_id}' is gated: its files are given only to accounts that accepted its conditions. {sent}. "
        f"Accept the conditions at {request.page}, then pass a token of that account {_TOKEN_HINT}."
    )


def _no_repository(_: Exception, request: HubRequest) -> str:
    for kind in ("dataset", "space"):
        if _exists(request, kind):
            return (
                f"'{request.model_id}' is a {kind} on {endpoint()}, not a model. "
                f"Give the id of a model; the {kind}'s page often names it: {endpoint()}/{kind}s/{request.model_id}."
            )
    if _has_token(request):
        return (
            f"There is no model '{request.model_id}' on {endpoint()} that the token in use may read: it does not "
            f"exist, or it is private. Check the spelling at {request.page}, or pass a token that may read it "
            f"{_TOKEN_HINT}."
        )
    return (
        f"There is no public model '{request.model_id}' on {endpoint()}: it does not exist, or it is private and no "
        f"token was sent. Check the spelling at {request.page}, or pass a token that may read it {_TOKEN_HINT}."
    )


def _no_revision(_: Exception, request: HubRequest) -> str:
    names = _names(request)
    known = f" It has {', '.join(names)}." if names else ""
    return (
        f"'{request.model_id}' has no branch, tag or commit '{request.revision or 'main'}' on {endpoint()}.{known} "
        f"Give one of those listed at {request.page}/commits as --revision, or leave the option out for main."
    )


def _no_file(error: Exception, request: HubRequest) -> str:
    path = str(getattr(getattr(error, "response", None), "url", "")).partition("/resolve/")[2].partition("/")[2]
    return f"{request} has no file '{path}' on {endpoint()}. Look at its files at {request.page}/tree/main."


def _disabled(_: Exception, request: HubRequest) -> str:
    return f"'{request.model_id}' is disabled on {endpoint()}. {request.page} may say why; choose another model."


def _refused(error: HfHubHTTPError, request: HubRequest) -> str:
    # None before huggingface_hub 1.0 for errors made without an answer.
    status = error.response.status_code if error.response is not None else 0
    said = " ".join((error.server_message or "").split())[:200]
    said = f" It says: {said.rstrip('.')}." if said else ""
    if status == 401:  # noqa: PLR2004
        return (
            f"{endpoint()} does not accept the token: it is mistyped, expired or revoked. Make one that may read "
            f"'{request.model_id}' at {endpoint()}/settings/tokens and pass it {_TOKEN_HINT}, or leave it out for a "
            "public model."
        )
    if status == 403:  # noqa: PLR2004
        return (
            f"{endpoint()} refuses access to {request} (403).{said} Pass a token with the right to read it "
            f"{_TOKEN_HINT}; a fine-grained token needs that right for this very repository."
        )
    if status == 429:  # noqa: PLR2004
        return (
            f"{endpoint()} answers that there were too many requests (429).{said} Wait some minutes and run the same "
            f"command again; with a token {_TOKEN_HINT} the limit is higher."
        )
    if status >= 500:  # noqa: PLR2004
        return (
            f"{endpoint()} is in trouble: it answers {status} for {request}.{said} Run the same command again in a "
            f"while (files that came whole are kept), or set HF_ENDPOINT to a mirror."
        )
    return f"{endpoint()} answers {status or 'with an error'} for {request}.{said} Check the id and the revision."


def _unreachable(error: Exception, request: HubRequest) -> str:
    if type(error).__name__ in _BROKEN_OFF:
        return _incomplete(error, request)
    late = "Timeout" in type(error).__name__
    what = "did not answer in time" if late else "cannot be reached"
    detail = (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__
    more = " (HF_HUB_DOWNLOAD_TIMEOUT=60 waits longer than the usual 10 s)" if late else ""
    return (
        f"{endpoint()} {what}: {detail}. Check the network and its proxy (HTTPS_PROXY){more}, or set HF_ENDPOINT to a "
        f"mirror that is reachable, and run the same command again."
    )


def _not_a_hub(_: Exception, request: HubRequest) -> str:
    return (
        f"What answers at {endpoint()} does not speak as the Hub does: a proxy or a login page may stand in between, "
        f"or HF_ENDPOINT points elsewhere. Open {request.page} in a browser from this network, or correct HF_ENDPOINT."
    )


def _incomplete(error: Exception, request: HubRequest) -> str:
    detail = (str(error).splitlines() or [""])[0][:200].rstrip(".")
    return (
        f"The files of {request} did not arrive whole: {detail}. Run the same command again; files that came whole are "
        "kept. If it goes on failing, HF_HUB_DISABLE_XET=1 takes the plain way of downloading."
    )


def _disk(error: OSError, request: HubRequest) -> str:
    from huggingface_hub import constants

    cache = constants.HF_HUB_CACHE
    if error.errno is None:
        # How huggingface_hub reports a file of another size than announced.
        return _incomplete(error, request)
    if error.errno in _DISK_FULL:
        return (
            f"There is no room for the files of {request} in the cache {cache}: {error.strerror}. Free some space "
            "(`hf cache` lists what is there), or set HF_HOME to a folder on a larger disk, and run the same command "
            "again; files that came whole are kept."
        )
    at = f" at '{error.filename}'" if error.filename else ""
    return (
        f"The cache {cache} cannot be used: {error.strerror}{at}. Make it readable and writable for this user, or set "
        "HF_HOME to a folder that is."
    )


def _cached_hint(request: HubRequest) -> str:
    try:
        snapshot = hub_cache.find(request.model_id, request.revision)
    except OSError:
        snapshot = None
    if snapshot is None:
        return ""
    return f" Files of its commit {snapshot.name[:12]} are in the local cache: --offline uses those."


def _has_token(request: HubRequest) -> bool:
    from huggingface_hub import constants, get_token

    return request.token is not None or (not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and get_token() is not None)


def _exists(request: HubRequest, kind: str) -> bool:
    from huggingface_hub import HfApi

    try:
        HfApi().repo_info(request.model_id, repo_type=kind, token=request.token, timeout=5)
    except Exception:  # only a hint: whatever goes wrong here, the first failure is the one to tell
        return False
    return True


def _names(request: HubRequest) -> list[str]:
    from huggingface_hub import HfApi

    try:
        refs = HfApi().list_repo_refs(request.model_id, token=request.token)
    except Exception:  # as above
        return []
    names = [f"branch '{ref.name}'" for ref in refs.branches] + [f"tag '{ref.name}'" for ref in refs.tags]
    return names[:_MOST_NAMES] + ([f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else [])

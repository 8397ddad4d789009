"""API keys: who may ask. Without any, everybody who reaches the port may."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from hub2triton.shim.failure import Failure
from hub2triton.shim.transport import error_response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

SCHEME = "bearer "
SHORTEST = 16
"""Characters; a shorter key could be guessed."""


class KeysError(ValueError):
    """The keys that the operator gave are none; the text says what to change."""


class Unauthorized(Failure):
    """No key, or a wrong one."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {"www-authenticate": "Bearer"}


class Keys:
    """Lets requests pass that carry one of the keys, as `Authorization: Bearer KEY`."""

    def __init__(
        self, app: ASGIApp, keys: Collection[str], open_paths: Collection[str], on_refused: Callable[[int], None]
    ) -> None:
        """Guards an application.

        Args:
            app: What is guarded.
            keys: Those that open it.
            open_paths: What everybody may GET, such as the health.
            on_refused: Is told of each request that is not passed on, by its status.
        """
        self._app = app
        # Digests are of one length, so that the time of a comparison tells nothing of a key.
        self._digests = [_digest(key) for key in keys]
        self._open = frozenset(open_paths)
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with 401."""
        if scope["type"] == "http" and not self._may_pass(scope):
            failure = Unauthorized("this server asks for a key: send it as the header Authorization: Bearer KEY")
            scope.setdefault("state", {})["error"] = str(failure)
            self._on_refused(failure.status)
            await error_response(failure, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if scope["method"] in ("GET", "HEAD") and scope["path"] in self._open:
            return True
        given = Headers(scope=scope).get("authorization", "")
        if not given.lower().startswith(SCHEME):
            return False
        digest = _digest(given[len(SCHEME) :].strip())
        return any([hmac.compare_digest(digest, own) for own in self._digests])  # noqa: C419 (all are compared, always)


def read(text: str, file: Path | None) -> tuple[str, ...]:
    """The keys of an operator.

    Args:
        text: Keys separated by commas.
        file: One key a line; empty lines and those that begin with # do not count.

    Raises:
        KeysError: The file cannot be read or holds no key, or a key is too short or has a space in it.
    """
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if file is not None:
        found = list(_lines(file))
        if not found:  # a server must not be open because a file was empty
            raise KeysError(f"{file} holds no key; write one key a line")
        keys += found
    for key in keys:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise KeysError(f"an API key must have at least {SHORTEST} characters of ASCII and no space; one has not")
    return tuple(keys)


def _lines(file: Path) -> Iterable[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        # Without what was given for its name, which may be the key itself.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise KeysError(f"the file of --api-key-file cannot be read: {why}; name one with a key a line") from None
    return (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

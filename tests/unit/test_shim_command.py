"""How hf-shim sets up its server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hub2triton.shim import app, server
from hub2triton.shim.command import main

if TYPE_CHECKING:
    import uvicorn


class Application:
    """In place of the shim: takes note of who asks."""

    state = SimpleNamespace(shim=None)
    client: Any = None

    async def __call__(self, scope: Any, _receive: Any, _send: Any) -> None:
        self.client = scope["client"]


async def test_a_caller_is_who_is_connected_whatever_the_headers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who were refused are told apart by their connections, and the log names them."""
    application, configs = Application(), []

    def begin(config: uvicorn.Config, *_: Any) -> Any:
        configs.append(config)
        return SimpleNamespace(run=lambda: None, started=True)

    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setattr(app, "create", lambda _: application)
    monkeypatch.setattr(server, "Server", begin)
    assert main([]) == 0
    (config,) = configs
    config.load()
    forged = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
    scope = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 4711), "headers": forged}
    await config.loaded_app(scope, None, None)
    assert application.client == ("127.0.0.1", 4711)

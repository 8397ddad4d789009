"""How hf-shim sets up its server."""

from __future__ import annotations

import socket
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
        return SimpleNamespace(run=lambda *_: None, started=True)

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


def test_a_shared_port_that_another_has_for_itself_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "Server", lambda *_: SimpleNamespace(run=lambda *_: pytest.fail("it serves")))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--port", str(port), "--port-shared-by", "2"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("hf-shim: Address already in use")
    assert told.endswith("; choose another --host or --port\n")


COUNTS = ("--max-body-bytes", "--max-rows", "--max-connections")
TIMES = ("--request-timeout", "--header-timeout", "--client-timeout")


def variable(flag: str) -> str:
    return "HUB2TRITON_" + flag.removeprefix("--").replace("-", "_").upper()


def taken(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> app.Settings:
    """What the shim would be set up with."""
    found: list[app.Settings] = []

    def create(settings: app.Settings) -> None:
        found.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "create", create)
    with pytest.raises(KeyboardInterrupt):
        main(list(arguments))
    return found[0]


@pytest.mark.parametrize("flag", [*COUNTS, *TIMES])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much"])
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_limit_that_lets_nothing_through_is_refused(
    flag: str, value: str, by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if by == "variable":
        monkeypatch.setenv(variable(flag), value)
    with pytest.raises(SystemExit) as ended:
        main([f"{flag}={value}"] if by == "flag" else [])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    wanted = "a whole number of 1 or more" if flag in COUNTS else "a number of seconds above 0"
    assert f"{value!r} is not {wanted}" in told
    assert (flag if by == "flag" else f"{variable(flag)} is {value!r}") in told


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--port", "0", "between 1 and"),
        ("--gzip-level", "10", "from 0 to 9"),
        ("--gzip-level", "-1", "from 0 to 9"),
        ("--drain-timeout", "-1", "0 or more"),
    ],
)
def test_other_numbers_have_their_bounds(flag: str, value: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([f"{flag}={value}"])
    assert told in capsys.readouterr().err


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = taken(monkeypatch)
    flags = (*COUNTS, *TIMES, "--port", "--metrics-file", "--triton", "--profile", "--gzip-level")
    for flag in (*flags, "--api-key-file", "--api-key", "--log-format"):
        monkeypatch.setenv(variable(flag), "")
    assert taken(monkeypatch) == usual
    assert usual.origins == ("*",)
    assert usual.max_rows == 4096
    monkeypatch.setenv("HUB2TRITON_ALLOW_ORIGINS", "")
    assert taken(monkeypatch).origins == ()  # no page, rather than each


def test_a_variable_counts_and_the_flag_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB2TRITON_MAX_ROWS", "7")
    monkeypatch.setenv("HUB2TRITON_REQUEST_TIMEOUT", "0.5")
    found = taken(monkeypatch, "--max-rows", "9")
    assert (found.max_rows, found.request_timeout_s) == (9, 0.5)

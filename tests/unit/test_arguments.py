"""What the commands do with flags that are none, and what they tell of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub2triton.generate.command import main as generate
from hub2triton.serve.command import main as serve
from hub2triton.shim.command import main as shim

SECRET = "hf_a-secret-of-somebody"  # noqa: S105 - of nobody
EACH = pytest.mark.parametrize("command", [generate, serve, shim], ids=["generate-repo", "serve-repo", "hf-shim"])
Command = Callable[[list[str]], int]


def told(command: Command, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@EACH
@pytest.mark.parametrize("flag", ["--hel", "--verb", "--tok", "--por", "--api-ke", "--api-key-fil"])
def test_a_flag_is_not_taken_by_its_beginning(command: Command, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"unrecognized arguments: {flag}\n" in told(command, [flag], capsys)


@EACH
@pytest.mark.parametrize(
    "arguments",
    [["--api-keys", SECRET], [f"--apikey={SECRET}"], ["--token", SECRET, f"more of {SECRET}"], [f"-k{SECRET}"]],
)
def test_what_stands_behind_an_unknown_flag_is_not_repeated(
    command: Command, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(command, ["model", *arguments], capsys)
    assert SECRET not in text
    assert arguments[0].partition("=")[0].removesuffix(SECRET) in text


def test_an_argument_too_many_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments: other" in told(serve, ["repo", "other"], capsys)

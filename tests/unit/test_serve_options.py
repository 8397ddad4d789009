import subprocess
import sys
from pathlib import Path

import pytest

from hub2triton.error import UsageError
from hub2triton.log_format import LogFormat
from hub2triton.serve import options
from hub2triton.serve.command import main
from hub2triton.serve.options import Options, parse, reachable, variable


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one."""
    monkeypatch.setattr(options, "cores", lambda: 2)


def test_defaults() -> None:
    assert parse(["repo"], {}) == Options(Path("repo"))


@pytest.mark.parametrize(("cores", "shims"), [(1, 1), (15, 1), (16, 2), (128, 4)])
def test_large_machines_have_several_shims(cores: int, shims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "cores", lambda: cores)
    assert parse(["repo"], {}).shims == shims
    assert parse(["repo"], {"HUB2TRITON_SHIMS": "3"}).shims == 3
    assert parse(["repo", "--shims", "1"], {"HUB2TRITON_SHIMS": "3"}).shims == 1


def test_flags() -> None:
    arguments = "repo --host 0.0.0.0 --port 1 --triton-host ::1 --http-port 2 --grpc-port 3 --metrics-port 4 --no-shim"
    more = [
        "--model",
        "a",
        "--model",
        "b",
        "--tritonserver",
        "/t",
        "--verbose",
        "--triton-arg=--log-verbose=1",
        "--allow-urls",
        "a.org,b.org",
        "--api-key-file",
        "/k",
        *["--api-key", "a-key-of-the-flag", "--api-key=another-one"],
        *["--hang-timeout", "1.5", "--model-memory", "6", "--drain-timeout", "7", "--max-restarts", "8"],
        *["--max-model-restarts", "9", "--log-format", "json", "--shims", "10"],
    ]
    assert parse(arguments.split() + more, {}) == Options(
        Path("repo"),
        ("a", "b"),
        "0.0.0.0",
        1,
        "::1",
        2,
        3,
        4,
        Path("/t"),
        False,
        True,
        ("--log-verbose=1",),
        "a.org,b.org",
        Path("/k"),
        ("a-key-of-the-flag", "another-one"),
        1.5,
        6,
        7.0,
        8,
        9,
        LogFormat.JSON,
        10,
    )


def test_the_environment_mirrors_every_flag() -> None:
    environment = {
        "HUB2TRITON_REPO": "repo",
        "HUB2TRITON_MODEL": "a, b",
        "HUB2TRITON_HOST": "0.0.0.0",
        "HUB2TRITON_PORT": "1",
        "HUB2TRITON_TRITON_HOST": "::1",
        "HUB2TRITON_HTTP_PORT": "2",
        "HUB2TRITON_GRPC_PORT": "3",
        "HUB2TRITON_METRICS_PORT": "4",
        "HUB2TRITON_TRITONSERVER": "/t",
        "HUB2TRITON_NO_SHIM": "1",
        "HUB2TRITON_VERBOSE": "true",
        "HUB2TRITON_TRITON_ARG": "--cache-config=local,size=1 --log-verbose=1",
        "HUB2TRITON_ALLOW_URLS": "*.example.org",
        "HUB2TRITON_API_KEY_FILE": "/k",
        "HUB2TRITON_HANG_TIMEOUT": "1.5",
        "HUB2TRITON_MODEL_MEMORY": "6",
        "HUB2TRITON_DRAIN_TIMEOUT": "7",
        "HUB2TRITON_MAX_RESTARTS": "8",
        "HUB2TRITON_MAX_MODEL_RESTARTS": "9",
        "HUB2TRITON_LOG_FORMAT": "json",
        "HUB2TRITON_SHIMS": "10",
    }
    expected = Options(
        Path("repo"),
        ("a", "b"),
        "0.0.0.0",
        1,
        "::1",
        2,
        3,
        4,
        Path("/t"),
        False,
        True,
        ("--cache-config=local,size=1", "--log-verbose=1"),
        "*.example.org",
        Path("/k"),
        (),
        1.5,
        6,
        7.0,
        8,
        9,
        LogFormat.JSON,
        10,
    )
    assert parse([], environment) == expected


def test_a_flag_wins_over_the_environment() -> None:
    options = parse(["repo", "--port", "9", "--model", "c"], {"HUB2TRITON_PORT": "1", "HUB2TRITON_MODEL": "a"})
    assert (options.port, options.models) == (9, ("c",))


@pytest.mark.parametrize("name", ["HUB2TRITON_PORT", "HUB2TRITON_VERBOSE", "HUB2TRITON_LOG_FORMAT"])
def test_a_wrong_variable_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 'much'"):
        parse(["repo"], {name: "much"})


def test_a_wrong_port_is_refused_by_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parse(["repo", "--port", "70000"], {})
    assert error.value.code == 2
    assert "between 1 and 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag",
    ["--hang-timeout", "--drain-timeout", "--model-memory", "--max-restarts", "--max-model-restarts", "--shims"],
)
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "long", ""])
def test_a_limit_is_a_number_of_0_or_more(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["repo", f"{flag}={value}"], {})
    assert "0 or more" in capsys.readouterr().err


def test_help_names_every_variable_and_is_quick() -> None:
    helped = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hub2triton.serve.command", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Not by a clock: what takes long is what is imported.
    for heavy in ("numpy", "grpc", "asyncio", "tritonclient", "psutil"):
        assert f" {heavy}\n" not in helped.stderr
    for flag in ("--model", "--port", "--grpc-port", "--tritonserver", "--no-shim", "--verbose", "--triton-arg"):
        assert variable(flag) in helped.stdout


@pytest.mark.parametrize(
    ("host", "target"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.0.0.1", "10.0.0.1"), ("localhost", "localhost")],
)
def test_a_wildcard_is_reached_by_loopback(host: str, target: str) -> None:
    assert reachable(host) == target


def test_errors_are_words_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 6
    assert "generate-repo" in capsys.readouterr().err

"""The options of `serve-repo`; every flag is mirrored to an environment variable `HUB2TRITON_<FLAG>`."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hub2triton import value
from hub2triton.arguments import Parser, secret
from hub2triton.cores import cores
from hub2triton.error import UsageError
from hub2triton.log_format import LogFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

_CORES_PER_SHIM = 8
"""One shim answers about a thousand short requests a second, which is more than most models do on so many cores."""

_MOST_SHIMS = 4

_EPILOG = """\
Every flag can be given as an environment variable too, named beside it; the flag wins. HUB2TRITON_MODEL separates
names by commas, HUB2TRITON_TRITON_ARG arguments by spaces, HUB2TRITON_API_KEY keys by commas. The shim reads its own
variables from the same environment. Its limits are set so alone, by the variables that hf-shim --help names:
HUB2TRITON_MAX_BODY_BYTES, HUB2TRITON_MAX_ROWS, HUB2TRITON_REQUEST_TIMEOUT, HUB2TRITON_HEADER_TIMEOUT,
HUB2TRITON_CLIENT_TIMEOUT, HUB2TRITON_MAX_CONNECTIONS.

Keys of --api-key-file, HUB2TRITON_API_KEY and --api-key all count. What stands in a command line can be seen by all
users of a machine, and by whoever reads the history of a shell: better give keys by a file or the environment.

Without --tritonserver and without a tritonserver on PATH, the server inside the wheel nvidia-pytriton is used (Linux
x86-64); its models find their packages in the environment serve-repo is installed in. A tritonserver from elsewhere is
started in the environment as it is: its models find their packages through the first python3 on PATH.

exit codes: 0 stopped by Ctrl-C or SIGTERM, 2 wrong options, 6 cannot serve (no tritonserver, a taken port, no model,
or what dies again and again).
"""


@dataclass(frozen=True)
class Options:
    """What the user asked of `serve-repo`.

    Attributes:
        repository: The folder of model directories.
        models: Names to serve; empty for all.
        host: Address the shim binds.
        port: Port of the shim.
        triton_host: Address Triton's own three ports bind.
        tritonserver: The binary; None to look for one.
        shim: False to serve Triton alone.
        verbose: Everything Triton prints, and full tracebacks.
        triton_args: Further arguments for tritonserver, as they are.
        allow_urls: Hosts that links in payloads may lead to, separated by commas; empty for none.
        api_key_file: A file with keys of which requests must carry one; None for none.
        api_keys: Further ones, from the command line.
        hang_timeout: Seconds that one execution of a model may last; 0 for as long as it takes.
        model_memory: MiB that one process of a model may hold for itself; 0 for any amount.
        drain_timeout: Seconds that requests in flight may take once serve-repo is asked to stop.
        max_restarts: How often tritonserver is started again in ten minutes, and the shim in a row.
        max_model_restarts: How often in a row a model is loaded again that fails to load, or dies within seconds.
        log_format: How everything that is told is written.
        shims: How many share the shim's port.
    """

    repository: Path
    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    triton_host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    tritonserver: Path | None = None
    shim: bool = True
    verbose: bool = False
    triton_args: tuple[str, ...] = ()
    allow_urls: str = ""
    api_key_file: Path | None = None
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    hang_timeout: float = 900.0
    model_memory: int = 0
    drain_timeout: float = 20.0
    max_restarts: int = 5
    max_model_restarts: int = 10
    log_format: LogFormat = LogFormat.TEXT
    shims: int = 1

    @property
    def triton_target(self) -> str:
        """The host by which this machine reaches Triton: a wildcard address is not one to connect to."""
        return reachable(self.triton_host)


def reachable(host: str) -> str:
    """The address to connect to for a server bound to `host`, in brackets where it is IPv6."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - recognised, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def variable(flag: str) -> str:
    """The environment variable that mirrors a flag: `--grpc-port` is `HUB2TRITON_GRPC_PORT`."""
    return "HUB2TRITON_" + flag.removeprefix("--").replace("-", "_").upper()


def parse(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Options:
    """The options of a command line and an environment.

    Args:
        argv: Arguments without the program's name; None for the process's own.
        environment: None for the process's own.

    Raises:
        UsageError: An environment variable or a combination of options makes no sense.
        SystemExit: `--help`, or arguments argparse refuses (code 2).
    """
    mirror = _Mirror(os.environ if environment is None else environment)
    arguments = _parser(mirror).parse_args(argv)
    return Options(
        repository=arguments.repository,
        models=tuple(arguments.model or mirror.names("--model")),
        host=arguments.host,
        port=arguments.port,
        triton_host=arguments.triton_host,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
        tritonserver=arguments.tritonserver,
        shim=not arguments.no_shim,
        verbose=arguments.verbose,
        triton_args=tuple(arguments.triton_arg or _words(mirror.environment.get(variable("--triton-arg"), ""))),
        allow_urls=arguments.allow_urls,
        api_key_file=arguments.api_key_file,
        api_keys=tuple(arguments.api_key),
        hang_timeout=arguments.hang_timeout,
        model_memory=arguments.model_memory,
        drain_timeout=arguments.drain_timeout,
        max_restarts=arguments.max_restarts,
        max_model_restarts=arguments.max_model_restarts,
        log_format=arguments.log_format,
        shims=arguments.shims or max(1, min(_MOST_SHIMS, cores() // _CORES_PER_SHIM)),
    )


@dataclass(frozen=True)
class _Mirror:
    """Reads the defaults of flags from the environment."""

    environment: Mapping[str, str]

    def value(self, flag: str, read: Callable[[str], T], default: T) -> T:
        text = self.environment.get(variable(flag), "")
        if not text:
            return default
        try:
            return read(text)
        except (ValueError, argparse.ArgumentTypeError) as error:
            message = f"The environment variable {variable(flag)} is {text!r}: {error}. Correct it, or give {flag}."
            raise UsageError(message) from error

    def names(self, flag: str) -> list[str]:
        return [name.strip() for name in self.environment.get(variable(flag), "").split(",") if name.strip()]


def _parser(mirror: _Mirror) -> argparse.ArgumentParser:
    parser = Parser(
        prog="serve-repo",
        description="Serve a model repository: tritonserver, and the shim that answers Hugging Face payloads.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(flag: str, read: Callable[[str], T], default: T, text: str, metavar: str) -> None:
        usual = default.value if isinstance(default, Enum) else default
        shown = "" if usual in (None, "") else f"default {usual}; "
        parser.add_argument(
            flag,
            type=read,
            metavar=metavar,
            default=mirror.value(flag, read, default),
            help=f"{text} ({shown}{variable(flag)})",
        )

    def switch(flag: str, text: str) -> None:
        default = mirror.value(flag, value.boolean, default=False)
        parser.add_argument(flag, action="store_true", default=default, help=f"{text} ({variable(flag)}=1)")

    parser.add_argument(
        "repository",
        nargs="?",
        metavar="REPO",
        type=Path,
        default=mirror.value("--repo", Path, Path("model_repository")),
        help="the folder of model directories that generate-repo wrote (default model_repository; HUB2TRITON_REPO)",
    )
    parser.add_argument(
        "--model", action="append", metavar="NAME", help="serve only this model; repeatable (HUB2TRITON_MODEL)"
    )
    add("--host", str, "127.0.0.1", "address of the Hugging Face endpoint; 0.0.0.0 opens it to the network", "HOST")
    add("--port", value.port, 8080, "port of the Hugging Face endpoint", "N")
    add("--triton-host", str, "127.0.0.1", "address of Triton's own ports", "HOST")
    add("--http-port", value.port, 8000, "Triton's HTTP port", "N")
    add("--grpc-port", value.port, 8001, "Triton's gRPC port", "N")
    add("--metrics-port", value.port, 8002, "Triton's Prometheus metrics port", "N")
    tritonserver: Path | None = None
    add("--tritonserver", Path, tritonserver, "the tritonserver to run, instead of looking for one", "PATH")
    parser.add_argument(
        "--triton-arg",
        action="append",
        metavar="ARG",
        help="a further argument for tritonserver, as --triton-arg=--log-verbose=1; repeatable (HUB2TRITON_TRITON_ARG)",
    )
    add("--allow-urls", str, "", "hosts that links in payloads may lead to, by commas; without it, none", "HOSTS")
    key_file: Path | None = None
    add("--api-key-file", Path, key_file, "keys, one a line; each request must carry one as a bearer token", "PATH")
    parser.add_argument(
        "--api-key",
        action="append",
        type=secret,
        default=[],
        metavar="KEY",
        help="such a key itself; repeatable (HUB2TRITON_API_KEY, which other users of the machine cannot see)",
    )
    add("--hang-timeout", value.seconds, 900.0, "how long one execution may last, then it is killed; 0: ever", "S")
    add("--model-memory", value.count, 0, "memory of its own that a model's process may hold; 0: any amount", "MIB")
    add("--drain-timeout", value.seconds, 20.0, "how long requests in flight may take when it is asked to stop", "S")
    restarts = "how often tritonserver is started again in ten minutes, or the shim in a row if it dies within 5 s"
    add("--max-restarts", value.count, 5, restarts, "N")
    in_a_row = "how often a model is loaded again in a row if it does not load or dies within 5 s; then it is given up"
    add("--max-model-restarts", value.count, 10, in_a_row, "N")
    log_format = LogFormat.TEXT
    add("--log-format", LogFormat.read, log_format, "json: all that is told, and each request, a line each", "FORMAT")
    shims = f"how many shims share the port; 0: one for every {_CORES_PER_SHIM} cores, at most {_MOST_SHIMS}"
    add("--shims", value.count, 0, shims, "N")
    switch("--no-shim", "serve Triton's own protocols only")
    switch("--verbose", "show all that Triton prints, and full tracebacks")
    return parser


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"The environment variable {variable('--triton-arg')} is {text!r}: {error}.") from error

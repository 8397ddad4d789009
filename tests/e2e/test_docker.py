"""The container's entry point with the real commands: a mounted model, served under the variables of Hugging Face."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.e2e.service import BIN, start

pytestmark = pytest.mark.e2e

DOCKER = Path(__file__).parents[2] / "docker"


def test_a_mounted_model_is_served(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HF_MODEL_DIR": str(tiny("distilbert_sentiment")),
        "HF_MODEL_ID": "org/sentiment",
        "HF_TASK": "text-classification",
        "HF_TOKEN": "hf_nobodys",
        "HUB2TRITON_HOST": "127.0.0.1",
        "HUB2TRITON_OUTPUT": str(tmp_path / "models"),
        "HUB2TRITON_API_KEY": "the-key-of-the-test",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict",
    }
    servers = start([sys.executable, str(DOCKER / "entrypoint.py")], environment)
    service = next(servers)
    try:
        assert [folder.name for folder in (tmp_path / "models").iterdir()] == ["org--sentiment"]
        key = {"Authorization": "Bearer the-key-of-the-test"}
        body = {"instances": ["good", "bad"]}
        assert httpx.post(f"{service.url}/v1/endpoints/1:predict", json=body).status_code == 401
        answer = httpx.post(f"{service.url}/v1/endpoints/1:predict", json=body, headers=key, timeout=60)
        assert answer.status_code == 200
        (first, second) = answer.json()["predictions"]
        alone = httpx.post(service.url, json={"inputs": "good"}, headers=key, timeout=60).json()
        assert first[0]["label"] == alone[0]["label"]
        assert first[0]["score"] == pytest.approx(alone[0]["score"], abs=1e-4)
        assert second[0]["score"] > 0
        check = [sys.executable, str(DOCKER / "healthcheck.py")]
        assert subprocess.run(check, env={"PORT": str(service.port)}, check=False).returncode == 0
    finally:
        servers.close()
    assert service.process.returncode == 0
    assert "stopping (SIGTERM)" in service.output
    assert "hf_nobodys" not in service.output
    assert "the-key-of-the-test" not in service.output
    assert subprocess.run(check, env={"PORT": str(service.port)}, check=False).returncode == 1

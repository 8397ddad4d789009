"""The container's entry point with the real commands: a mounted model, served under the variables of Hugging Face."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.dockerfile import DOCKER, Image, context, values
from tests.e2e.service import BIN, start

from hub2triton import tasks

pytestmark = pytest.mark.e2e


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


IN_A_CONTAINER_ALONE = ("useradd", "apt-get")
"""What the first stages do to the system."""


def test_the_steps_of_the_dockerfile(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """All but the first stages, with the packages of this environment in the place of downloaded ones."""
    image = Image(tmp_path / "root", context(tmp_path / "context"))
    image.make()
    steps = [command.strip() for step in values("RUN") for command in step.split("&&")]
    left = [step for step in steps if not any(step.endswith(command) for command in image.ran)]
    assert {shlex.split(step)[0] for step in left} == {*IN_A_CONTAINER_ALONE, "rm"}
    assert len(image.ran) == 7
    assert stat.S_IMODE((image.root / "data").stat().st_mode) == 0o775
    (installed,) = (image.root / "opt/venv/lib").glob("python*/site-packages/hub2triton")
    assert (installed / "templates" / "hf_runtime").is_dir()

    entrypoint = json.loads(values("ENTRYPOINT")[0])
    listed = image.run([*entrypoint, "generate-repo", "--list-tasks"], {})
    assert listed.returncode == 0, listed.stdout
    assert all(name in listed.stdout for name in tasks.names())
    assert image.run([*entrypoint], {"HF_MODEL_DIR": "/nowhere"}).returncode == 2
    # A mounted model: its repository is written by the installed package; serving it takes no more than its help here.
    mounted = {"HF_MODEL_DIR": str(tiny("distilbert_sentiment")), "HF_TASK": "text-classification"}
    mounted |= {"HUB2TRITON_OUTPUT": image.here("/data/models"), "HUB2TRITON_REPO": image.here("/models")}
    served = image.run([*entrypoint, "--help"], mounted)
    assert served.returncode == 0, served.stdout
    assert "usage: serve-repo" in served.stdout
    (written,) = (image.root / "data" / "models").iterdir()
    runtime = {path.name for path in (written / "1" / "hf_runtime").glob("*.py")}
    assert runtime <= {path.name for path in (installed / "templates" / "hf_runtime").glob("*.py")}
    check = json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])
    asked = image.run(check, {"PORT": "1"})
    assert asked.returncode == 1
    assert "no answer at port 1" in asked.stdout

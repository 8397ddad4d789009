"""A generated folder needs nothing of this project to be served: only tritonserver and the packages it names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from sentence_transformers import SentenceTransformer
from tests.e2e.service import READY_S, Service, free_ports

pytestmark = pytest.mark.e2e


def test_served_by_plain_tritonserver(served: Service, repository: Path, models_dir: Path, tmp_path: Path) -> None:
    """Moved elsewhere, with a Python that has the site-packages but not hub2triton."""
    elsewhere = tmp_path / "elsewhere" / "models"
    shutil.copytree(repository / "pooled", elsewhere / "pooled", ignore=shutil.ignore_patterns("__pycache__"))
    python = tmp_path / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", python], check=True)
    # All packages but the editable hub2triton, whose path file lies among them.
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    inner = next(python.glob("lib/python3*/site-packages"))
    for entry in packages.iterdir():
        if "hub2triton" not in entry.name:
            (inner / entry.name).symlink_to(entry)
    check = "import importlib.util as u; assert u.find_spec('torch'); assert not u.find_spec('hub2triton')"
    subprocess.run([python / "bin" / "python", "-c", check], check=True, cwd=tmp_path)

    # The same binary and environment as serve-repo uses, but its command is all Triton's own.
    children = psutil.Process(served.process.pid).children(recursive=True)
    parent = next(process for process in children if process.name() == "tritonserver")
    backends = next(word for word in parent.cmdline() if word.startswith("--backend-directory="))
    environment = {**os.environ, **parent.environ(), "PATH": f"{python}/bin:{os.environ['PATH']}"}
    environment.pop("VIRTUAL_ENV", None)
    http, grpc, metrics = free_ports(3)
    process = subprocess.Popen(
        [
            parent.exe(),
            f"--model-repository={elsewhere}",
            backends,
            *(f"--{name}-port={port}" for name, port in (("http", http), ("grpc", grpc), ("metrics", metrics))),
            *(f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")),
        ],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        answer = ask(process, f"http://127.0.0.1:{http}/v2/models/pooled/infer")
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert answer is not None, output
    reference = SentenceTransformer(str(models_dir / "sentence_mean"), device="cpu").encode(["the cat"])
    np.testing.assert_allclose([answer], reference, atol=1e-5)


def ask(process: subprocess.Popen[str], url: str) -> list[float] | None:
    """The embedding of a text, once the server answers; None where it never does."""
    body = {"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["the cat"]}]}
    until = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < until:
        try:
            response = httpx.post(url, json=body, timeout=30)
            if response.status_code == 200:
                data: list[float] = response.json()["outputs"][0]["data"]
                return data
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    return None

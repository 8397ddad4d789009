"""Every method of Hugging Face's clients that fits a task, on a model of that task."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.clients.calls import JAVASCRIPT, PYTHON, Call, fits
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

CLIENTS = Path(__file__).parents[2] / "clients"
PYTHON_0 = Path(sys.prefix) / "clients" / "huggingface_hub-0" / "bin" / "python"
NODE = shutil.which("node")
NODE_REQUIRED = "HUB2TRITON_REQUIRE_NODE"
"""Set where a missing Node.js must fail instead of being told."""


def outcomes(command: list[str], served: Service, calls: tuple[Call, ...]) -> Any:
    """What a client's program gives for the calls."""
    told = [{"url": f"{served.url}/models/{call.task}", "method": call.method, "args": call.args} for call in calls]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wrong(calls: tuple[Call, ...], found: list[dict[str, Any]]) -> list[str]:
    """The calls that failed, or gave something of another form."""
    pairs = zip(calls, found, strict=True)
    return [
        f"{call.name}{list(call.args)}: {str(outcome)[:400]}"
        for call, outcome in pairs
        if "error" in outcome or not fits(outcome["answer"], call.form)
    ]


@pytest.mark.parametrize("options", [[], ["--async"]], ids=["sync", "async"])
def test_inference_client_of_python(all_tasks: Service, options: list[str]) -> None:
    command = [sys.executable, str(CLIENTS / "python" / "call.py"), *options]
    version, found = outcomes(command, all_tasks, PYTHON)
    assert int(version.split(".")[0]) >= 1
    assert not wrong(PYTHON, found)


@pytest.mark.parametrize("options", [[], ["--async"]], ids=["sync", "async"])
def test_inference_client_of_python_before_version_1(all_tasks: Service, options: list[str]) -> None:
    command = [str(PYTHON_0), str(CLIENTS / "python" / "call.py"), *options]
    version, found = outcomes(command, all_tasks, PYTHON)
    assert version.startswith("0.")
    assert not wrong(PYTHON, found)


def test_inference_client_of_javascript(all_tasks: Service) -> None:
    if NODE is None:
        assert not os.environ.get(NODE_REQUIRED), "Node.js is not installed"
        pytest.skip("Node.js is not installed: the JavaScript client did not run")
    found = outcomes([NODE, str(CLIENTS / "javascript" / "call.mjs")], all_tasks, JAVASCRIPT)
    assert not wrong(JAVASCRIPT, found)

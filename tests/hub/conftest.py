from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.server import HubServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALL = Path(__file__).with_name("call.py")


@dataclass
class Answer:
    """What came of a call: `result` as call.py describes it, and all that the process wrote."""

    result: dict[str, Any]
    output: str

    @property
    def folder(self) -> Path:
        assert "folder" in self.result, self.result
        return Path(self.result["folder"])

    @property
    def files(self) -> dict[str, bytes]:
        """The content of every file in the folder, by path."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}

    @property
    def message(self) -> str:
        """The words of a HubError; one paragraph."""
        assert self.result.get("error") == "HubError", self.result
        assert self.result["exit_code"] == 3
        assert "\n" not in self.result["message"]
        return str(self.result["message"])


@dataclass
class Caller:
    """Calls `resolve`, `download` or both, in processes that share one cache."""

    home: Path
    result_file: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.home / "hub"

    def start(self, do: str, /, stderr: int = subprocess.STDOUT, **call: Any) -> subprocess.Popen[str]:
        call = {"do": do, **call}
        process = subprocess.Popen(
            [sys.executable, str(_CALL)],
            env=self._all_variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(call))
        process.stdin.close()
        process.stdin = None
        return process

    def __call__(self, do: str, /, **call: Any) -> Answer:
        process = self.start(do, **call)
        output, _ = process.communicate(timeout=50)
        assert process.returncode == 0, output
        return Answer(json.loads(self.result_file.read_text()), output)

    def several(self, do: str, *calls: dict[str, Any]) -> list[dict[str, Any]]:
        """Makes several calls in one process, which is faster."""
        results = self("several", calls=[{"do": do, **call} for call in calls]).result["results"]
        return list(results)

    def _all_variables(self) -> dict[str, str]:
        # None of the machine's own settings: its token, cache or proxy would change what is tested.
        foreign = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}
        source = str(Path(__file__).parents[2] / "generator")
        ours = {"HF_HOME": str(self.home), "CALL_RESULT": str(self.result_file), "PYTHONPATH": source}
        return {**kept, **ours, **self.environment}


@pytest.fixture(scope="session")
def hub_server() -> Iterator[HubServer]:
    """The Hub of the whole session, since starting and ending one takes longer than most tests; see `hub`."""
    with HubServer() as server:
        yield server


@pytest.fixture
def hub(hub_server: HubServer) -> HubServer:
    """A Hub without repositories."""
    hub_server.clear()
    return hub_server


@pytest.fixture
def offline_call(tmp_path: Path) -> Caller:
    """Calls with no Hub to reach: its address is a closed port."""
    return Caller(tmp_path / "home", tmp_path / "result.json", {"HF_ENDPOINT": "http://127.0.0.1:9"})


@pytest.fixture
def call(tmp_path: Path, hub: HubServer) -> Caller:
    """Calls that reach the Hub of this test."""
    return Caller(tmp_path / "home", tmp_path / "result.json", {"HF_ENDPOINT": hub.endpoint})

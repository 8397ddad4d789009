"""What must not be told, and ports that must not be reached."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import psutil
import pytest
from tests import media
from tests.e2e.attacks.conftest import KEY, MODELS, OTHER_KEY, Target
from tests.wire import connected

pytestmark = pytest.mark.e2e

CONFIG = json.dumps({"backend": "python", "input": [], "output": []})
MARKER = "a marker that no log may hold 4711"
WRONG = (b"{", b"[]", b'{"inputs": {"a": []}}', b"\xff\xfe", b'{"inputs": null}', b"")


def processes(target: Target) -> list[psutil.Process]:
    """serve-repo and all that it started."""
    first = psutil.Process(target.served.process.pid)
    return [first, *first.children(recursive=True)]


def test_every_port_is_on_loopback(target: Target) -> None:
    listening = {
        (link.laddr.ip, link.laddr.port)
        for process in processes(target)
        for link in process.net_connections("inet")
        if link.status == psutil.CONN_LISTEN
    }
    served = target.served
    wanted = {served.port, served.http_port, served.grpc_port, served.metrics_port}
    assert {port for _, port in listening} >= wanted
    assert {address for address, _ in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("repository/models/evil/load", {"parameters": {"config": CONFIG, "file:1/model.py": "cHJpbnQoMSk="}}),
        ("repository/models/embeddings/unload", {}),
        ("repository/index", {}),
        ("systemsharedmemory/region/x/register", {"key": "/x", "offset": 0, "byte_size": 1}),
        ("trace/setting", {"trace_level": ["TIMESTAMPS"], "trace_file": "/tmp/x"}),
        ("logging", {"log_file": "/tmp/x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_in_a_browser_here_cannot_command_triton(target: Target, path: str, body: dict[str, object]) -> None:
    """It can send any text to a port of this machine; to load a model may mean to run what was sent."""
    url = f"http://127.0.0.1:{target.served.http_port}/v2/{path}"
    told = httpx.post(url, content=json.dumps(body), headers={"content-type": "text/plain"}, timeout=60)
    assert told.status_code == 403
    assert "restricted" in told.text
    assert "TritonPythonModel" not in target.served.output


def test_payloads_are_in_no_log(target: Target) -> None:
    for body in (
        {"inputs": MARKER},
        {"inputs": MARKER, "parameters": {MARKER: 1}},
        {"inputs": MARKER, "parameters": {"normalize": MARKER}},
        {MARKER: 1},
        {"inputs": [MARKER, 5]},
    ):
        for model in MODELS:
            target.post(model, body)
    target.post("pictures", content=MARKER.encode())
    target.post("sounds", content=media.sound_file(media.tone(0.1))[:60] + MARKER.encode())
    target.post(MARKER, {"inputs": "a"})
    target.post("embeddings", {"inputs": "a"}, params={"x": MARKER})
    target.post("embeddings", {"inputs": "a"}, headers={"x-request-id": MARKER, "user-agent": MARKER})
    target.ask(MARKER.encode() + b"\r\n\r\n")
    target.check()
    assert MARKER not in target.served.output
    assert MARKER.replace(" ", "%20") not in target.served.output


def test_keys_are_told_nowhere(target: Target) -> None:
    httpx.post(f"{target.url}/", headers={"authorization": f"Bearer {KEY}x"}, json={"inputs": "a"})
    page = httpx.get(f"{target.url}/metrics").text
    shim, models = [], []
    for process in processes(target):
        assert KEY not in " ".join(process.cmdline())
        held = any(KEY in value for value in process.environ().values())
        (models if process.pid in _of_models(target) else shim).append(held)
    assert len(models) == len(MODELS)
    assert not any(models)
    assert any(shim)  # so that looking finds what is there
    for key in (KEY, OTHER_KEY):
        assert key not in target.served.output
        assert key not in page
        assert not any(key.encode() in path.read_bytes() for path in target.repository.rglob("*") if path.is_file())


def test_errors_tell_nothing_of_the_machine(target: Target) -> None:
    for model in MODELS:
        for content in WRONG:
            told = target.post(model, content=content).text
            assert "Traceback" not in told
            assert str(target.repository) not in told
            assert str(Path.cwd()) not in told
            assert ".py" not in told


def test_answers_name_no_program(target: Target) -> None:
    answer = target.post("embeddings", {"inputs": "a"})
    assert "server" not in answer.headers
    assert not any("uvicorn" in value for value in answer.headers.values())


def test_generated_files_are_for_their_owner_to_write(target: Target) -> None:
    for path in [target.repository, *target.repository.rglob("*")]:
        mode = path.stat().st_mode
        assert not mode & stat.S_IWOTH, path
        assert not path.is_file() or not mode & (stat.S_IXUSR | stat.S_ISUID | stat.S_ISGID), path


def _of_models(target: Target) -> set[int]:
    return {process.pid for name in MODELS for process in target.served.model_processes(name)}


def test_attacks_leave_no_tracebacks(target: Target) -> None:
    """What callers can do is answered, and is never a failure of the servers' own; looked at after each attack, too."""
    for model in MODELS:
        for content in WRONG:
            target.post(model, content=content)
    target.ask(b"no HTTP at all\r\n\r\n")
    with connected(target.port) as wire:
        wire.send(target.request({"inputs": "a"})[:-3])  # and leaves
    target.check()
    target.left_no_traceback()

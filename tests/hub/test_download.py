"""hub.download against a Hub: exactly the asked files of the pinned commit, once, whole."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub.conftest import Caller
    from tests.hub.server import HubServer

LARGE = bytes(range(256)) * 2_000
FILES = {"config.json": b"{}", "model.safetensors": LARGE, "onnx/model.onnx": b"onnx", "README.md": b"# A model"}


def test_only_the_asked_files_arrive(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES)
    answer = call("fetch", model_id="org/name", paths=["onnx/model.onnx", "model.safetensors"])
    assert answer.files == {"onnx/model.onnx": b"onnx", "model.safetensors": LARGE}
    assert answer.folder.name == sha
    assert len(hub.downloads) == 2


def test_names_are_names_and_not_patterns(hub: HubServer, call: Caller) -> None:
    files = {"a[1].txt": b"1", "a1.txt": b"2", "b*.txt": b"3", "bc.txt": b"4", "c?.txt": b"5", "cd.txt": b"6"}
    hub.add("org/name", files)
    asked = ["a[1].txt", "b*.txt", "c?.txt"]
    assert call("fetch", model_id="org/name", paths=asked).files == {name: files[name] for name in asked}


def test_a_tree_of_several_pages(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", {f"part-{number:03}.json": b"%d" % number for number in range(120)})
    answer = call("fetch", model_id="org/name", paths=["part-119.json"])
    assert answer.files == {"part-119.json": b"119"}


def test_the_commit_stays_when_the_branch_moves(hub: HubServer, call: Caller) -> None:
    old = hub.add("org/name", {"config.json": b"old"})
    source = call("resolve", model_id="org/name").result
    new = hub.add("org/name", {"config.json": b"new"})
    answer = call("download", source=source, paths=["config.json"])
    assert answer.files == {"config.json": b"old"}
    assert answer.folder.name == old != new


def test_nothing_is_transferred_twice(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    first = call("fetch", model_id="org/name", paths=sorted(FILES))
    assert len(hub.downloads) == len(FILES)
    second = call("fetch", model_id="org/name", paths=sorted(FILES))
    assert len(hub.downloads) == len(FILES)
    assert second.files == first.files == FILES


def test_a_cut_connection_is_resumed_where_it_broke(hub: HubServer, call: Caller) -> None:
    # huggingface_hub keeps what it gets in steps of 10 MiB, so that less than that is lost at the cut.
    step = 10 * 1024 * 1024
    content = random.Random(0).randbytes(step + 3_000_000)
    hub.add("org/name", {"model.safetensors": content})
    hub.cut("model.safetensors", after=step + 1_000_000)
    answer = call("fetch", model_id="org/name", paths=["model.safetensors"], patient=False)
    if "error" in answer.result:  # in older huggingface_hub, down to 0.34, the next run resumes
        assert "Run the same command again" in answer.message
        answer = call("fetch", model_id="org/name", paths=["model.safetensors"])
    assert answer.files == {"model.safetensors": content}
    whole, rest = hub.downloads
    assert "range" not in whole.headers
    start = int(rest.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert step <= start <= step + 1_000_000


def test_a_run_that_failed_is_completed_by_the_next(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", {"config.json": b"{}", "model.safetensors": LARGE})
    hub.cut("model.safetensors", after=0, times=None)
    failed = call("fetch", model_id="org/name", paths=["config.json", "model.safetensors"], patient=False)
    assert "did not arrive whole" in failed.message
    assert "Run the same command again" in failed.message
    assert "--offline" not in failed.message
    hub.heal()
    hub.requests.clear()
    answer = call("fetch", model_id="org/name", paths=["config.json", "model.safetensors"])
    assert answer.files == {"config.json": b"{}", "model.safetensors": LARGE}
    # The file that had come whole is not fetched again.
    assert [request.path.rpartition("/")[2] for request in hub.downloads] == ["model.safetensors"]


def test_a_file_damaged_in_the_cache_is_fetched_again(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    source = call("resolve", model_id="org/name").result
    first = call("download", source=source, paths=["model.safetensors"])
    (first.folder / "model.safetensors").resolve().write_bytes(LARGE[:1000])
    assert call("download", source=source, paths=["model.safetensors"]).files == {"model.safetensors": LARGE}


def test_ctrl_c_ends_it(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", {"model.safetensors": LARGE})
    hub.stall("model.safetensors", after=100_000)
    process = call.start("fetch", model_id="org/name", paths=["model.safetensors"])
    _wait_for(lambda: bool(hub.downloads))
    process.send_signal(signal.SIGINT)
    # huggingface_hub waits for the transfers under way before it lets go; here they break off.
    time.sleep(0.2)
    hub.heal()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT, output
    assert "KeyboardInterrupt" in output


def test_no_progress_bar_in_a_log(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    assert call("fetch", model_id="org/name", paths=sorted(FILES)).output == ""


def test_a_progress_bar_on_a_terminal(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    process = call.start("fetch", stderr=end, model_id="org/name", paths=sorted(FILES))
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # how reading ends when the process closes the other side
        while chunk := os.read(terminal, 4096):
            shown += chunk
    process.communicate(timeout=20)
    os.close(terminal)
    assert process.returncode == 0
    assert b"Fetching 4 files" in shown
    assert b"100%" in shown


def test_a_file_that_is_not_in_the_model(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    message = call("fetch", model_id="org/name", paths=["config.json", "tokenizer.json"]).message
    assert "has no file 'tokenizer.json'" in message


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    call("fetch", model_id="org/name", paths=["config.json"])
    assert {request.token for request in hub.requests} == {None}

    hub.requests.clear()
    hub.add("org/closed", FILES, private=True)
    answer = call("fetch", model_id="org/closed", paths=["config.json", "model.safetensors"], token=hub.member)
    assert set(answer.files) == {"config.json", "model.safetensors"}
    about_it = [request for request in hub.requests if "org/closed" in request.path]
    assert {request.token for request in about_it} == {hub.member}
    stored_apart = [request for request in hub.requests if request.path.startswith("/cdn/")]
    assert [request.token for request in stored_apart] == [None]


def test_the_token_of_the_environment_is_used(hub: HubServer, call: Caller) -> None:
    hub.add("org/closed", FILES, private=True)
    call.environment["HF_TOKEN"] = hub.member
    assert call("fetch", model_id="org/closed", paths=["config.json"]).files == {"config.json": b"{}"}


def test_a_cache_that_cannot_be_used(hub: HubServer, call: Caller, tmp_path: Path) -> None:
    hub.add("org/name", FILES)
    (tmp_path / "taken").write_text("a file where a folder should be")
    call.home = tmp_path / "taken" / "home"
    message = call("fetch", model_id="org/name", paths=["config.json"]).message
    assert str(call.home) in message
    assert "HF_HOME" in message


def _wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

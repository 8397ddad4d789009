"""What is said when the Hub does not give a model: the reason, the next thing to try, and never a token."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest

from hub2triton.generate.hub_failure import explain
from hub2triton.generate.hub_request import HubRequest

if TYPE_CHECKING:
    from tests.hub.conftest import Caller
    from tests.hub.server import HubServer

FILES = {"config.json": b"{}"}
OPTION = "--token"


def test_an_absent_model_may_be_a_private_one(hub: HubServer, call: Caller) -> None:
    hub.add("org/closed", FILES, private=True)
    absent = call("resolve", model_id="org/nmae").message
    closed = call("resolve", model_id="org/closed").message
    # Without a token the Hub answers the same to both, and so do we.
    assert absent.replace("org/nmae", "org/closed") == closed
    for words in ("does not exist", "private", "spelling", f"{hub.endpoint}/org/closed", OPTION, "HF_TOKEN"):
        assert words in closed


def test_a_token_that_may_not_read_a_private_model(hub: HubServer, call: Caller) -> None:
    hub.add("org/closed", FILES, private=True)
    message = call("resolve", model_id="org/closed", token=hub.stranger).message
    assert "that the token in use may read" in message
    assert hub.stranger not in message


def test_a_gated_model_is_refused_before_any_file(hub: HubServer, call: Caller) -> None:
    hub.add("org/gated", FILES, gated=True)
    without = call("resolve", model_id="org/gated").message
    assert "No token was sent" in without
    other = call("resolve", model_id="org/gated", token=hub.stranger).message
    assert "token in use has no access" in other
    for message in (without, other):
        assert f"Accept the conditions at {hub.endpoint}/org/gated" in message
        assert OPTION in message
        assert hub.stranger not in message
    answer = call("fetch", model_id="org/gated", paths=["config.json"], token=hub.member)
    assert answer.files == FILES


def test_a_gated_model_is_refused_at_its_files_too(hub: HubServer, call: Caller) -> None:
    hub.add("org/gated", FILES, gated=True)
    source = call("resolve", model_id="org/gated", token=hub.member).result
    message = call("download", source=source, paths=["config.json"]).message
    assert f"Accept the conditions at {hub.endpoint}/org/gated" in message


def test_a_mirror_without_access_checks(hub: HubServer, call: Caller) -> None:
    hub.add("org/gated", FILES, gated=True)
    hub.fail("auth-check", 404)
    assert call("resolve", model_id="org/gated").result["files"] == [{"path": "config.json", "size": 2}]


@pytest.mark.parametrize("by", ["option", "environment"])
def test_an_invalid_token(hub: HubServer, call: Caller, by: str) -> None:
    hub.add("org/name", FILES)
    if by == "environment":
        call.environment["HF_TOKEN"] = hub.expired
    answer = call("resolve", model_id="org/name", token=hub.expired if by == "option" else None)
    assert "does not accept the token" in answer.message
    assert f"{hub.endpoint}/settings/tokens" in answer.message
    assert hub.expired not in answer.message + answer.output


@pytest.mark.parametrize("token", ["hf_two\nlines", "hf_with space", "hf_\u00e9"])
def test_a_token_that_cannot_be_sent(hub: HubServer, call: Caller, token: str) -> None:
    answer = call("resolve", model_id="org/name", token=token)
    assert "no token has" in answer.message
    assert token not in answer.message + answer.output
    assert hub.requests == []


def test_a_server_that_quotes_the_token(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    given = "withoutTheUsualBeginning"
    hub.fail("org/name", 403, message=f"no right with {given} or {hub.member}")
    message = call("resolve", model_id="org/name", token=given).message
    assert "no right with *** or ***" in message
    assert "fine-grained" in message


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_something_that_is_no_model(hub: HubServer, call: Caller, kind: str) -> None:
    hub.add("org/thing", FILES, kind=kind)
    assert f"is a {kind} on {hub.endpoint}, not a model" in call("resolve", model_id="org/thing").message


def test_an_absent_revision_names_those_there_are(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES, tag="v1.0")
    hub.add("org/name", FILES, branch="onnx")
    message = call("resolve", model_id="org/name", revision="v2").message
    assert "no branch, tag or commit 'v2'" in message
    assert "branch 'main', branch 'onnx', tag 'v1.0'" in message


def test_a_commit_that_is_gone(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    source = call("resolve", model_id="org/name").result
    source["revision"] = "0" * 40
    assert "no branch, tag or commit '0000" in call("download", source=source, paths=["config.json"]).message


@pytest.mark.parametrize("status", [500, 503])
def test_a_hub_in_trouble(hub: HubServer, call: Caller, status: int) -> None:
    hub.add("org/name", FILES)
    hub.fail("org/name", status, message="Internal Error - We're working hard to fix this")
    message = call("resolve", model_id="org/name").message
    assert f"it answers {status}" in message
    assert "working hard" in message
    assert "HF_ENDPOINT" in message


def test_a_hub_in_trouble_at_the_files(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    hub.fail("/resolve/", 503)
    message = call("fetch", model_id="org/name", paths=["config.json"], patient=False).message
    assert "it answers 503" in message


def test_a_hub_in_trouble_while_a_part_is_cached(hub: HubServer, call: Caller) -> None:
    # huggingface_hub then takes the cached part for all there is.
    hub.add("org/name", {"config.json": b"{}", "model.safetensors": b"weights"})
    source = call("resolve", model_id="org/name").result
    call("download", source=source, paths=["config.json"])
    for tree in call.cache.rglob("trees/*.json"):
        tree.unlink()
    hub.fail("/tree/", 500)
    answer = call("download", source=source, paths=["config.json", "model.safetensors"], patient=False)
    assert answer.files["model.safetensors"] == b"weights"


def test_too_many_requests(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    hub.fail("org/name", 429, headers={"Retry-After": "60"})
    message = call("resolve", model_id="org/name").message
    assert "too many requests (429)" in message
    assert OPTION in message


def test_a_closed_port(offline_call: Caller) -> None:
    message = offline_call("resolve", model_id="org/name").message
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert "HF_ENDPOINT" in message
    assert "proxy" in message


def test_an_address_that_is_none(offline_call: Caller) -> None:
    offline_call.environment["HF_ENDPOINT"] = "user:secret@hub"
    message = offline_call("resolve", model_id="org/name").message
    assert "HF_ENDPOINT" in message
    assert "secret" not in message
    unsendable = {"model_id": "org/name", "token": "a b"}
    assert "secret" not in offline_call("resolve", **unsendable).message


def test_a_hub_that_goes_silent(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES)
    hub.stall("/api/models")
    call.environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
    assert "did not answer in time" in call("resolve", model_id="org/name").message


def test_a_server_that_is_no_hub(hub: HubServer, call: Caller) -> None:
    hub.fail("org/name", 200)
    message = call("resolve", model_id="org/name").message
    assert "does not speak as the Hub does" in message


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no room for the files"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache/x"), "at '/cache/x'"),
        (OSError(errno.EROFS, "Read-only file system"), "HF_HOME"),
        (OSError("Consistency check failed: file should be of size 3 but has size 2"), "did not arrive whole"),
        (RuntimeError("Data processing error: CAS service error"), "HF_HUB_DISABLE_XET"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "does not speak as the Hub does"),
    ],
)
def test_failures_of_the_disk_and_of_transfers(error: Exception, says: str) -> None:
    message = explain(error, HubRequest("org/name", "main", None))
    assert message is not None
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a bug"), NotImplementedError("a bug")])
def test_a_bug_is_not_called_a_failure_of_the_hub(error: Exception) -> None:
    assert explain(error, HubRequest("org/name", None, None)) is None


def test_a_request_does_not_show_its_token() -> None:
    assert "hf_secret" not in repr(HubRequest("org/name", None, "hf_secret"))

"""hub.resolve and hub.download without a Hub: from the cache alone, or with the command that fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hub.conftest import Caller
    from tests.hub.server import HubServer

CARD = b"---\npipeline_tag: fill-mask\nlibrary_name: transformers\n---\n# A model\n"
FILES = {"README.md": CARD, "config.json": b"{}", "model.safetensors": b"weights"}


def _ask_nothing(hub: HubServer) -> None:
    assert [request for request in hub.requests if "org/name" in request.path] == []


def test_what_was_fetched_is_found_again(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES)
    online = call("fetch", model_id="org/name", paths=sorted(FILES))
    hub.requests.clear()
    result = call("resolve", model_id="org/name", offline=True).result
    assert result["revision"] == sha
    assert (result["pipeline_tag"], result["library_name"]) == ("fill-mask", "transformers")
    assert {file["path"]: file["size"] for file in result["files"]} == {name: len(FILES[name]) for name in FILES}
    answer = call("fetch", model_id="org/name", paths=sorted(FILES), offline=True)
    assert answer.folder == online.folder
    assert answer.files == FILES
    _ask_nothing(hub)


def test_the_environment_variable_does_the_same(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES)
    source = call("resolve", model_id="org/name").result
    call("fetch", model_id="org/name", paths=["config.json"])
    hub.requests.clear()
    call.environment["HF_HUB_OFFLINE"] = "1"
    assert call("fetch", model_id="org/name", paths=["config.json"]).files == {"config.json": b"{}"}
    message = call("download", source=source, paths=["model.safetensors"]).message
    assert f"`hf download org/name model.safetensors --revision {sha}`" in message
    _ask_nothing(hub)


def test_a_model_without_a_cached_card_says_nothing_of_its_task(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES, pipeline_tag="fill-mask", library_name="transformers")
    call("fetch", model_id="org/name", paths=["config.json"])
    result = call("resolve", model_id="org/name", offline=True).result
    assert (result["pipeline_tag"], result["library_name"]) == (None, None)


def test_names_mean_what_they_meant_when_fetched(hub: HubServer, call: Caller) -> None:
    old = hub.add("org/name", {"config.json": b"old"}, tag="v1")
    name = {"model_id": "org/name"}
    call.several("fetch", {**name, "paths": ["config.json"], "revision": "v1"}, {**name, "paths": ["config.json"]})
    new = hub.add("org/name", {"config.json": b"new"})
    asked = [{**name, "revision": revision, "offline": True} for revision in (None, "v1", old, old[:7])]
    assert [found.get("revision") for found in call.several("resolve", *asked)] == [old] * 4

    call("fetch", paths=["config.json"], **name)
    asked = [{**name, "revision": revision, "offline": True} for revision in (None, "v1", new)]
    assert [found.get("revision") for found in call.several("resolve", *asked)] == [new, old, new]


def test_looking_only_leaves_the_cache_as_it_was(hub: HubServer, call: Caller) -> None:
    # After a --dry-run, what worked offline must still work.
    hub.add("org/name", {"config.json": b"old"})
    call("fetch", model_id="org/name", paths=["config.json"])
    hub.add("org/name", {"config.json": b"new"})
    call("resolve", model_id="org/name")
    assert call("fetch", model_id="org/name", paths=["config.json"], offline=True).files == {"config.json": b"old"}


def test_a_miss_names_the_command_that_helps(hub: HubServer, call: Caller) -> None:
    hub.add("org/name", FILES, tag="v1")
    message = call("resolve", model_id="org/name", revision="v1", offline=True).message
    assert "`hf download org/name --revision v1`" in message
    assert str(call.cache) in message
    _ask_nothing(hub)


def test_another_commit_is_named_where_one_is_cached(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES)
    call("fetch", model_id="org/name", paths=["config.json"], revision=sha)
    assert sha in call("resolve", model_id="org/name", revision="v2", offline=True).message


def test_a_partial_cache_names_the_missing_file(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES)
    source = call("resolve", model_id="org/name").result
    call("download", source=source, paths=["config.json"])
    hub.requests.clear()
    message = call("download", source=source, paths=["config.json", "model.safetensors"], offline=True).message
    assert "'model.safetensors'" in message
    assert "'config.json'" not in message
    assert f"`hf download org/name model.safetensors --revision {sha}`" in message
    _ask_nothing(hub)

    found = call("resolve", model_id="org/name", revision=sha, offline=True).result
    assert [file["path"] for file in found["files"]] == ["config.json"]


@pytest.mark.parametrize("cached", [True, False])
def test_offline_is_suggested_only_where_something_is_cached(hub: HubServer, call: Caller, cached: bool) -> None:
    hub.add("org/name", FILES)
    if cached:
        call("fetch", model_id="org/name", paths=sorted(FILES))
    call.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    message = call("resolve", model_id="org/name").message
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert ("--offline" in message) == cached

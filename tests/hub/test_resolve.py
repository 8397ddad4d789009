"""hub.resolve against a Hub: which commit, which files, and what the Hub says about the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hub.conftest import Caller
    from tests.hub.server import HubServer

FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": bytes(100_000), "1_Pooling/config.json": b"{}"}


def test_a_model_is_described_with_its_files_and_sizes(hub: HubServer, call: Caller) -> None:
    sha = hub.add("org/name", FILES, pipeline_tag="fill-mask", library_name="transformers")
    assert call("resolve", model_id="org/name").result == {
        "origin": "hub",
        "model_id": "org/name",
        "revision": sha,
        "pipeline_tag": "fill-mask",
        "library_name": "transformers",
        "files": [
            {"path": "1_Pooling/config.json", "size": 2},
            {"path": "config.json", "size": 22},
            {"path": "model.safetensors", "size": 100_000},
        ],
        "ref": "main",
        "root": None,
    }
    assert hub.downloads == []


def test_a_model_without_an_organisation_or_metadata(hub: HubServer, call: Caller) -> None:
    sha = hub.add("gpt2", FILES)
    result = call("resolve", model_id="gpt2").result
    assert (result["model_id"], result["revision"]) == ("gpt2", sha)
    assert result["pipeline_tag"] is None
    assert result["library_name"] is None


def test_every_kind_of_revision_is_pinned_to_its_commit(hub: HubServer, call: Caller) -> None:
    first = hub.add("org/name", {"config.json": b"1"}, tag="v1.0")
    branch = hub.add("org/name", {"config.json": b"2"}, branch="refs/pr/7")
    last = hub.add("org/name", {"config.json": b"3"})
    asked = {None: last, "main": last, "v1.0": first, "refs/pr/7": branch, first: first, branch[:8]: branch}
    results = call.several("resolve", *({"model_id": "org/name", "revision": revision} for revision in asked))
    assert [result["revision"] for result in results] == list(asked.values())


@pytest.mark.parametrize(
    ("model_id", "says"),
    [
        ("", "org/name"),
        ("org/name/more", "org/name"),
        ("./models/bert", "nor a directory"),
        ("/models", "nor a directory"),
        ("org--name", "org/name"),
        ("org/..", "org/name"),
        ("org/na me", "org/name"),
        ("org/name.git", "org/name"),
        ("org/caf\u00e9", "org/name"),
        ("datasets/org/name", "a dataset, not a model"),
        ("https://a.hub/spaces/org/name", "a space, not a model"),
        ("https://a.hub/org/name/tree/main", "Try 'org/name'"),
    ],
)
def test_an_impossible_id_is_refused_without_asking(hub: HubServer, model_id: str, says: str) -> None:
    # These need no process of their own: nothing is asked.
    from hub2triton.error import UsageError
    from hub2triton.generate import hub as module

    with pytest.raises(UsageError) as caught:
        module.resolve(model_id, revision=None, token=None, offline=False)
    assert says in str(caught.value)


@pytest.mark.parametrize("revision", ["", " ", "a b", "../../etc/passwd", "/etc/passwd", "a\nb", "-x", "v1..v2"])
def test_an_impossible_revision_is_refused_without_asking(revision: str) -> None:
    from hub2triton.error import UsageError
    from hub2triton.generate import hub as module

    with pytest.raises(UsageError, match="cannot be a revision"):
        module.resolve("org/name", revision=revision, token=None, offline=False)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Call, Profile

RANK = {"query": "q", "texts": ["x", "y", "z"]}
SCORES = [{"score": np.float32([0.25, 0.75, 0.5])}]


def call(inputs: Any, **parameters: Any) -> Call:
    return body({"inputs": inputs, "parameters": parameters})


def body(value: dict[str, Any]) -> Call:
    spec = tasks.find("text-ranking")
    assert spec is not None
    return spec.encode(Payload.from_json(value, Limits(rows=100), spec.root_forms))


def row(query: str, *texts: str) -> dict[str, Any]:
    return {"query": query, "texts": list(texts)}


@pytest.mark.parametrize(
    ("inputs", "rows"),
    [
        (["a", "b"], [row("a", "b")]),
        ([["a", "b"]], [row("a", "b")]),
        ([["a", "b"], ["c", "d"]], [row("a", "b"), row("c", "d")]),
        ({"sentences": ["a", "b"]}, [row("a", "b")]),
        ({"sentences": [["a", "b"], ["c", ""]]}, [row("a", "b"), row("c", "")]),
        (RANK, [row("q", "x", "y", "z")]),
    ],
)
def test_pairs_and_queries_become_rows(inputs: Any, rows: list[dict[str, Any]]) -> None:
    assert call(inputs).rows == rows


def test_a_query_may_stand_at_the_root() -> None:
    found = body({**RANK, "raw_scores": True, "truncate": False, "return_text": True})
    assert found.rows == [row("q", "x", "y", "z")]
    assert found.parameters == {"raw_scores": True, "truncate": False}
    assert found.decode(SCORES, Profile.TOOLKIT)[0] == {"score": 0.75, "index": 1, "text": "y"}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("a", "must be .* not the string"),
        (None, "not null"),
        ([], '"inputs" is an empty list'),
        (["a"], "must be a pair of texts, not 1"),
        (["a", "b", "c"], 'must be a pair of texts, not 3; for one text against others send {"query"'),
        ([["a", "b"], ["c"]], r"inputs\[1\] must be a pair of texts, not 1"),
        ([["a", "b"], "c"], r"inputs\[1\] must be a list of strings"),
        (["a", 1], r"inputs\[0\]\[1\] must be a string"),
        ({"sentences": "a"}, "must be .* not the string 'a'"),
        ({"sentences": []}, "empty list"),
        ({"sentences": ["a", "b"], **RANK}, "not both"),
        ({"sentences": ["a", "b"], "query": "q"}, "not both"),
        ({}, "has no 'query' and no 'texts'"),
        ({"query": "q"}, "has no 'texts'"),
        ({"texts": ["x"]}, "has no 'query'"),
        ({"query": "q", "texts": []}, '"texts" is an empty list'),
        ({"query": "q", "texts": "x"}, "texts must be a list of strings"),
        ({"query": 1, "texts": ["x"]}, '"query" must be a string'),
        ({"query": "q", "texts": ["x", 1]}, r"texts\[1\] must be a string"),
        ({**RANK, "top": 1}, "unknown parameter 'top'"),
    ],
)
def test_what_cannot_be_ranked_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(inputs)
    assert caught.value.status == 400


@pytest.mark.parametrize("inputs", [[["a", "b"]] * 101, {"query": "q", "texts": ["x"] * 101}])
def test_too_many_pairs_are_refused(inputs: Any) -> None:
    with pytest.raises(PayloadError) as caught:
        call(inputs)
    assert caught.value.status == 413


@pytest.mark.parametrize("profile", Profile)
def test_a_pair_has_a_score_and_pairs_have_a_list(profile: Profile) -> None:
    one, two = ({"score": np.float32([score])} for score in (0.5, 0.25))
    assert call(["a", "b"]).decode([one], profile) == {"scores": 0.5}
    assert call([["a", "b"]]).decode([one], profile) == {"scores": [0.5]}
    assert call([["a", "b"], ["c", "d"]]).decode([one, two], profile) == {"scores": [0.5, 0.25]}


@pytest.mark.parametrize("profile", Profile)
def test_texts_are_sorted_by_their_scores(profile: Profile) -> None:
    wanted = [{"score": 0.75, "index": 1}, {"score": 0.5, "index": 2}, {"score": 0.25, "index": 0}]
    assert call(RANK).decode(SCORES, profile) == wanted
    texts = [{**rank, "text": RANK["texts"][rank["index"]]} for rank in wanted]
    assert call(RANK, return_documents=True).decode(SCORES, profile) == texts
    assert call(RANK, returnText=True).decode(SCORES, profile) == texts
    assert call({**RANK, "return_documents": True}).decode(SCORES, profile) == texts
    assert call({**RANK, "return_documents": True}, return_documents=False).decode(SCORES, profile) == wanted


def test_equal_scores_keep_the_texts_order() -> None:
    ranks = call(RANK).decode([{"score": np.float32([1, 1, 1])}], Profile.TOOLKIT)
    assert [rank["index"] for rank in ranks] == [0, 1, 2]


def test_what_shapes_the_response_is_not_told_to_the_model() -> None:
    assert call(RANK, return_documents=True, raw_scores=True).parameters == {"raw_scores": True}
    assert call(["a", "b"], return_documents=True).parameters == {}

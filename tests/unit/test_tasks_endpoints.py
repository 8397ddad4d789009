"""Routes of other protocols: OpenAI's embeddings, and those of text-embeddings-inference, Cohere and Jina."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Call, Profile

VECTORS = np.float32([[0.25, -1], [2, 3]])
EMBEDDED = [{"embedding": vector, "token_count": np.int32([3])} for vector in VECTORS]


def call_at(path: str, task: str, **root: Any) -> Call:
    """What the body `root`, posted to a path, asks of a model of a task."""
    spec = tasks.find(task)
    assert spec is not None
    endpoint = spec.endpoint(path)
    assert endpoint is not None
    return endpoint.encode(Payload(None, {}, root, Limits(), model="served"))


def refusal(path: str, task: str, **root: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        call_at(path, task, **root)
    assert caught.value.status == 400
    return str(caught.value)


def texts_of(call: Call) -> list[Any]:
    return [row["text"] for row in call.rows]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
@pytest.mark.parametrize("task", ["sentence-embeddings", "feature-extraction"])
def test_openai_embeddings(path: str, task: str) -> None:
    call = call_at(path, task, input=["a", "b"], model="text-embedding-3-small", user="me", dimensions=2)
    assert texts_of(call) == ["a", "b"]
    assert call.parameters == {"dimensions": 2, "count_tokens": True}
    answer = call.decode(EMBEDDED, Profile.TOOLKIT)
    assert (answer["object"], answer["model"]) == ("list", "served")
    assert answer["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    for index, entry in enumerate(answer["data"]):
        assert (entry["object"], entry["index"]) == ("embedding", index)
        np.testing.assert_array_equal(entry["embedding"], VECTORS[index])


def test_openai_embeddings_of_one_text_in_base64() -> None:
    call = call_at("/v1/embeddings", "sentence-embeddings", input="a", encoding_format="base64")
    (entry,) = call.decode(EMBEDDED[:1], Profile.TOOLKIT)["data"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(entry["embedding"]), "<f4"), VECTORS[0])


def test_a_token_level_model_gives_openai_the_mean() -> None:
    call = call_at("/v1/embeddings", "feature-extraction", input="a")
    states = {"last_hidden_state": VECTORS, "token_count": np.int32([2])}
    np.testing.assert_allclose(call.decode([states], Profile.TOOLKIT)["data"][0]["embedding"], [1.125, 1])


@pytest.mark.parametrize(
    ("root", "says"),
    [
        ({}, '"input" must be a text'),
        ({"input": []}, '"input" must be a text'),
        ({"input": 1}, "the number 1"),
        ({"input": [1, 2]}, "token numbers"),
        ({"input": [[1, 2]]}, "token numbers"),
        ({"input": ["a", 1]}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "float or base64"),
        ({"input": "a", "dimension": 1}, "did you mean 'dimensions'"),
    ],
)
def test_wrong_openai_embeddings(root: dict[str, Any], says: str) -> None:
    assert says in refusal("/v1/embeddings", "sentence-embeddings", **root)


def test_tei_embed_is_always_a_list_of_vectors() -> None:
    for inputs, count in (("a", 1), (["a", "b"], 2)):
        call = call_at("/embed", "sentence-embeddings", inputs=inputs, normalize=True, truncation_direction="Left")
        assert call.parameters == {"normalize": True, "truncation_direction": "left"}
        np.testing.assert_array_equal(call.decode(EMBEDDED[:count], Profile.TOOLKIT), VECTORS[:count])
    assert 'no key "inputs"' in refusal("/embed", "sentence-embeddings", input="a")


@pytest.mark.parametrize("task", ["sentence-similarity", "sentence-embeddings"])
def test_tei_similarity_is_a_bare_list(task: str) -> None:
    inputs = {"source_sentence": "a", "sentences": ["b"]}
    call = call_at("/similarity", task, inputs=inputs, parameters={"normalize": True})
    assert call.parameters == {"normalize": True}
    rows: list[Any] = [{"similarity": np.float32([0.5])}] if task == "sentence-similarity" else EMBEDDED
    (number,) = call.decode(rows, Profile.TOOLKIT)
    assert number == pytest.approx(0.5 if task == "sentence-similarity" else -0.67267279)
    assert "source_sentence" in refusal("/similarity", task, inputs=["a", "b"])
    assert "source_sentence" in refusal("/similarity", task, inputs={"sentences": ["a", "b"]})


def test_tei_rerank() -> None:
    call = call_at("/rerank", "sentence-ranking", query="q", texts=["a", "b"], raw_scores=False, return_text=True)
    assert call.rows == [{"query": "q", "texts": ["a", "b"]}]
    ranks = call.decode([{"score": np.float32([0.25, 0.5])}], Profile.TOOLKIT)
    assert ranks == [{"score": 0.5, "index": 1, "text": "b"}, {"score": 0.25, "index": 0, "text": "a"}]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("shown", [False, True])
def test_cohere_rerank(path: str, shown: bool) -> None:
    documents = ["a", {"text": "b"}, "c"]
    call = call_at(
        path, "sentence-ranking", model="any", query="q", documents=documents, top_n=2, return_documents=shown
    )
    answer = call.decode([{"score": np.float32([0.25, 0.5, 0.125])}], Profile.TOOLKIT)
    document = ({"document": {"text": "b"}}, {"document": {"text": "a"}}) if shown else ({}, {})
    results = [{"index": 1, "relevance_score": 0.5} | document[0], {"index": 0, "relevance_score": 0.25} | document[1]]
    assert answer == {"model": "served", "results": results}


@pytest.mark.parametrize(
    ("root", "says"),
    [
        ({"query": "q"}, "texts"),
        ({"query": "q", "texts": []}, "empty list"),
        ({"query": "q", "documents": "a"}, '"documents" must be a list'),
        ({"query": "q", "documents": []}, "empty list"),
        ({"documents": ["a"]}, "query"),
        ({"query": "q", "documents": [1]}, "string"),
        ({"query": "q", "documents": ["a"], "top_n": 0}, "at least 1"),
        ({"query": "q", "documents": ["a"], "top_n": True}, "at least 1"),
        ({"query": "q", "documents": ["a"], "return_documents": 1}, "true or false"),
    ],
)
def test_wrong_reranks(root: dict[str, Any], says: str) -> None:
    assert says in refusal("/rerank", "sentence-ranking", **root)


def test_every_endpoint_is_found_by_its_path() -> None:
    paths = tasks.endpoints()
    assert paths == sorted(set(paths))
    for spec in tasks.SPECS:
        for endpoint in spec.endpoints:
            assert endpoint.path in paths
            assert spec.endpoint(endpoint.path) is endpoint
            assert endpoint.summary.endswith(".")
    assert tasks.SPECS[0].endpoint("/nope") is None

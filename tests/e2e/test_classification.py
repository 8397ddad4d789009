"""Served models that classify texts and tokens and fill in masks give what transformers' own pipelines give."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from huggingface_hub import InferenceClient
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.models.text import WINDOW
from transformers import pipeline
from tritonclient.utils import InferenceServerException

from hub2triton import tasks

pytestmark = pytest.mark.e2e

MODELS = {
    "sentiment": ("text-classification", "distilbert_sentiment"),
    "emotions": ("sentiment-analysis", "roberta_emotions"),
    "nli": ("zero-shot-classification", "bart_nli"),
    "entities": ("ner", "bert_entities"),
    "masked": ("fill-mask", "roberta_masked"),
}
LONG = "the old horse saw a very large machine in the street " * 12
TEXTS = ["today is a sunny day", "x", "🙂 cafe\u0301 Zürich 漢字 in paris\n\tby night…", LONG, ""]
LABELS = ["sunny day", "food", "machine"]
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28 Mozilla/5.0"}
PYTHON_0 = {"user-agent": "unknown/None; hf_hub/0.36.2; python/3.11.7"}
CUT = {"truncation": True, "max_length": WINDOW}

Reference = Callable[[str], Any]


@pytest.fixture(scope="module")
def classifying(served: Service, load: Load, tiny: Callable[[str], Path]) -> Service:
    """The server with this module's models in it."""
    load(*((name, tiny(made), task) for name, (task, made) in MODELS.items()))
    return served


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Reference:
    @functools.cache
    def of(name: str) -> Any:
        task, made = MODELS[name]
        found = pipeline(task, model=str(tiny(made)), device="cpu")
        found.tokenizer.model_max_length = WINDOW  # not all of them know it
        return found

    return of


def post(service: Service, name: str, inputs: Any, headers: dict[str, str] | None = None, **parameters: Any) -> Any:
    body = {"inputs": inputs, "parameters": parameters}
    response = httpx.post(f"{service.url}/models/{name}", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def same(found: Any, expected: Any) -> None:
    """Everything equal but numbers with a fraction, which may differ by rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float | np.floating):
        assert isinstance(found, float)
        assert found == pytest.approx(float(expected), abs=1e-4)
    else:
        assert found == expected


@pytest.mark.parametrize("name", MODELS)
def test_the_example_of_the_task(classifying: Service, reference: Reference, name: str) -> None:
    spec = tasks.find(MODELS[name][0])
    assert spec is not None
    given = dict(spec.example)
    parameters = given.get("parameters", {})
    inputs = given["inputs"].replace("[MASK]", "<mask>")
    more = CUT if spec.name == "text-classification" else {}
    same(post(classifying, name, given["inputs"], **parameters), reference(name)(inputs, **parameters, **more))


@pytest.mark.parametrize("name", ["sentiment", "emotions"])
def test_text_classification(classifying: Service, reference: Reference, name: str) -> None:
    expected = [reference(name)(text, top_k=None, **CUT) for text in TEXTS]
    many = [f"{text} {index}" for index in range(12) for text in TEXTS[:4]]  # more than one batch
    same(post(classifying, name, TEXTS, top_k=None), expected)
    same(post(classifying, name, TEXTS[0], top_k=None), expected[0])
    same(post(classifying, name, TEXTS), [labels[0] for labels in expected])
    same(post(classifying, name, TEXTS[0]), expected[0][:1])
    same(post(classifying, name, many, top_k=1), [reference(name)(text, top_k=1, **CUT) for text in many])
    pair = {"text": TEXTS[0], "text_pair": TEXTS[2]}
    same(post(classifying, name, pair, top_k=None), reference(name)(pair, top_k=None, **CUT))
    same(post(classifying, name, [TEXTS[1], pair], top_k=1)[1], reference(name)(pair, top_k=1, **CUT))


def test_zero_shot_classification(classifying: Service, reference: Reference) -> None:
    texts, client = TEXTS[:-1], {"candidate_labels": LABELS}
    expected = [reference("nli")(text, **client) for text in texts]
    same(post(classifying, "nli", texts, candidateLabels=LABELS), expected)
    same(post(classifying, "nli", texts[0], candidate_labels=", ".join(LABELS)), expected[0])
    same(post(classifying, "nli", {"sequences": texts[:1], **client}), expected[:1])
    same(post(classifying, "nli", texts[0], PYTHON_0, **client), expected[0])
    more = {**client, "multi_label": True, "hypothesis_template": "it is {}"}
    same(post(classifying, "nli", texts, **more), [reference("nli")(text, **more) for text in texts])


def test_token_classification(classifying: Service, reference: Reference) -> None:
    def expected(text: str, **parameters: Any) -> Any:
        return json.loads(json.dumps(reference("entities")(text, **parameters), default=float))

    same(post(classifying, "entities", TEXTS), [expected(text) for text in TEXTS])
    same(post(classifying, "entities", ""), [])
    same(post(classifying, "entities", ["", ""]), [[], []])
    for strategy in ("none", "simple", "first", "average", "max"):
        more = {"aggregation_strategy": strategy, "ignore_labels": ["O", "ORG", "B-ORG"]}
        same(post(classifying, "entities", TEXTS[2], **more), expected(TEXTS[2], **more))
    windows = {"aggregation_strategy": "simple", "stride": 9}
    same(post(classifying, "entities", TEXTS, **windows), [expected(text, **windows) for text in TEXTS])


def test_fill_mask(classifying: Service, reference: Reference) -> None:
    texts = ["the <mask> is good", "🙂 <mask> cafe\u0301", "<mask> saw the old <mask>"]
    expected = [reference("masked")(text) for text in texts]
    same(post(classifying, "masked", texts), expected)
    for text, own in zip(texts, expected, strict=True):
        same(post(classifying, "masked", text), own)
        same(post(classifying, "masked", [text.replace("<mask>", "[MASK]")]), own)
    more = {"targets": ["cat", "xyz"], "top_k": 1}
    same(post(classifying, "masked", texts[0], **more), reference("masked")(texts[0], **more))


async def test_rows_of_many_callers_are_answered_as_if_alone(classifying: Service, reference: Reference) -> None:
    texts = [f"{text} {index}" for index in range(8) for text in TEXTS[:4]]
    before = classifying.metric("nv_inference_exec_count", "sentiment")
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=120) as client:
        url = f"{classifying.url}/models/sentiment"
        bodies = [{"inputs": text, "parameters": {"top_k": None}} for text in texts]
        bad = {"inputs": LONG, "truncate": False}
        responses = await asyncio.gather(*(client.post(url, json=body) for body in [*bodies, bad]))
    assert classifying.metric("nv_inference_exec_count", "sentiment") - before < len(texts)
    assert responses.pop().status_code == 400
    for text, response in zip(texts, responses, strict=True):
        same(response.json(), reference("sentiment")(text, top_k=None, **CUT))


# ---- clients


def test_inference_client(classifying: Service, reference: Reference) -> None:
    def client(name: str) -> InferenceClient:
        return InferenceClient(model=f"{classifying.url}/models/{name}")

    def told(found: Any) -> list[dict[str, Any]]:
        return [{key: value for key, value in item.items() if value is not None} for item in found]

    text = TEXTS[0]
    same(told(client("emotions").text_classification(text)), reference("emotions")(text, top_k=None))
    same(
        told(client("emotions").text_classification(text, top_k=2, function_to_apply="softmax")),
        reference("emotions")(text, top_k=2, function_to_apply="softmax"),
    )
    expected = reference("nli")(text, candidate_labels=LABELS, multi_label=True, hypothesis_template="{}!")
    found = client("nli").zero_shot_classification(text, LABELS, multi_label=True, hypothesis_template="{}!")
    assert [item.label for item in found] == expected["labels"]
    same([item.score for item in found], expected["scores"])
    same(told(client("masked").fill_mask("a <mask>", top_k=3)), reference("masked")("a <mask>", top_k=3))
    found = client("entities").token_classification(text, aggregation_strategy="max", ignore_labels=["O"])
    same(told(found), reference("entities")(text, aggregation_strategy="max", ignore_labels=["O"]))
    found = client("entities").token_classification(text)
    assert [(item.word, item.start, item.end) for item in found] == [
        (item["word"], item["start"], item["end"]) for item in reference("entities")(text)
    ]


def test_javascript_client(classifying: Service, reference: Reference) -> None:
    text = TEXTS[0]
    same(post(classifying, "sentiment", text, JAVASCRIPT), [reference("sentiment")(text, top_k=None)])
    expected = reference("nli")(text, candidate_labels=LABELS)
    same(post(classifying, "nli", text, JAVASCRIPT, candidate_labels=LABELS, multi_label=False), expected)
    groups = reference("entities")(text, aggregation_strategy="simple")
    same(post(classifying, "entities", text, JAVASCRIPT), groups)
    assert all(isinstance(item["entity_group"], str) for item in post(classifying, "entities", text, JAVASCRIPT))
    same(post(classifying, "masked", "a <mask>", JAVASCRIPT), reference("masked")("a <mask>"))


def infer(service: Service, name: str, parameters: str | None = None, **inputs: list[list[str | bytes]]) -> Any:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{service.grpc_port}")
    rows = len(next(iter(inputs.values())))
    given = {**inputs, **({} if parameters is None else {"parameters_json": [[parameters]] * rows})}
    tensors = []
    for tensor, values in given.items():
        array = np.array(values, dtype=object)
        tensors.append(tritonclient.grpc.InferInput(tensor, list(array.shape), "BYTES"))
        tensors[-1].set_data_from_numpy(array)
    try:
        return client.infer(name, tensors)
    finally:
        client.close()


def test_tritonclient(classifying: Service, reference: Reference) -> None:
    text, other = TEXTS[0], TEXTS[2]
    result = infer(classifying, "sentiment", text=[[text], [other]])  # text_pair and parameters_json are optional
    assert result.as_numpy("score").dtype == np.float32
    for row, item in enumerate((text, other)):
        expected = reference("sentiment")(item, top_k=None)
        assert result.as_numpy("label")[row].tolist() == [label["label"].encode() for label in expected]
        np.testing.assert_allclose(result.as_numpy("score")[row], [label["score"] for label in expected], atol=1e-4)
    pair = infer(classifying, "sentiment", '{"top_k": 1}', text=[[text]], text_pair=[[other]])
    expected = reference("sentiment")({"text": text, "text_pair": other}, top_k=1)
    np.testing.assert_allclose(pair.as_numpy("score"), [[expected[0]["score"]]], atol=1e-4)

    result = infer(classifying, "nli", text=[[text]], candidate_labels=[LABELS])
    expected = reference("nli")(text, candidate_labels=LABELS)
    assert result.as_numpy("label")[0].tolist() == [label.encode() for label in expected["labels"]]
    np.testing.assert_allclose(result.as_numpy("score")[0], expected["scores"], atol=1e-4)

    result = infer(classifying, "entities", '{"ignore_labels": []}', text=[[text], ["x"]])
    expected = reference("entities")(text, ignore_labels=[])
    assert result.as_numpy("count").tolist() == [[len(expected)], [1]]
    for name in ("index", "start", "end"):
        assert result.as_numpy(name).dtype == np.int32
        assert result.as_numpy(name)[0].tolist() == [item[name] for item in expected]
    assert result.as_numpy("word")[1].tolist() == [b"x"] + [b""] * (len(expected) - 1)

    result = infer(classifying, "masked", '{"top_k": 2}', text=[["a <mask>"], ["<mask> or <mask>"]])
    assert result.as_numpy("count").tolist() == [[2], [4]]
    assert result.as_numpy("mask_index").tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]
    expected = [item for mask in reference("masked")("<mask> or <mask>", top_k=2) for item in mask]
    assert result.as_numpy("token")[1].tolist() == [item["token"] for item in expected]
    assert [word.decode() for word in result.as_numpy("sequence")[1]] == [item["sequence"] for item in expected]


@pytest.mark.parametrize(
    ("name", "parameters", "inputs", "words"),
    [
        ("sentiment", '{"top_k": 0}', {"text": [["x"]]}, "'top_k' must be at least 1"),
        ("sentiment", None, {"text": [["x"]], "text_pair": [[b"\xff"]]}, "not valid UTF-8"),
        ("nli", None, {"text": [[""]], "candidate_labels": [["a"]]}, "the text is empty"),
        ("entities", '{"aggregation_strategy": "best"}', {"text": [["x"]]}, '"simple"'),
        ("entities", '{"aggregation_strategy": "max", "stride": -1}', {"text": [["x"]]}, "'stride' must be from 0"),
        ("entities", '{"is_split_into_words": true}', {"text": [["a dog"]]}, "must be a JSON list of words"),
        ("masked", '{"targets": "cat"}', {"text": [["<mask>"]]}, "'targets' must be a list"),
    ],
)
def test_tritonclients_mistakes(
    classifying: Service, name: str, parameters: str | None, inputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        infer(classifying, name, parameters, **inputs)
    assert words in caught.value.message()
    assert "Traceback" not in caught.value.message()


# ---- what callers get wrong

BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("sentiment", {"inputs": None}, 400, "not null"),
    ("sentiment", {"inputs": 5}, 400, "number 5"),
    ("sentiment", {"inputs": []}, 400, "empty list"),
    ("sentiment", {"input": "x"}, 400, "no key"),
    ("sentiment", {"inputs": ["x", 5]}, 400, "inputs[1]"),
    ("sentiment", {"inputs": {"text_pair": "x"}}, 400, '"text"'),
    ("sentiment", {"inputs": "x", "parameters": {"top_k": 0}}, 400, "at least 1"),
    ("sentiment", {"inputs": "x", "parameters": {"top_k": "2"}}, 400, "whole number"),
    ("sentiment", {"inputs": "x", "parameters": {"function_to_apply": "relu"}}, 400, "sigmoid, softmax, none"),
    ("sentiment", {"inputs": "x", "parameters": {"nix": 1}}, 400, "unknown parameter 'nix'"),
    ("sentiment", {"inputs": LONG, "parameters": {"truncation": False}}, 400, f"this model takes {WINDOW}"),
    ("sentiment", {"inputs": LONG, "parameters": {"truncation": "only_second"}}, 400, "is not enough"),
    ("sentiment", {"inputs": "x", "parameters": {"truncation": "middle"}}, 400, "'longest_first'"),
    ("sentiment", {"inputs": "x", "parameters": {"max_length": 1}}, 400, "'max_length' must be at least"),
    ("sentiment", {"inputs": "x" * 1_000_001}, 413, "1,000,001 characters"),
    ("nli", {"inputs": "x"}, 400, "candidate_labels"),
    ("nli", {"inputs": "x", "parameters": {"candidate_labels": []}}, 400, "candidate_labels"),
    ("nli", {"inputs": "x", "parameters": {"candidate_labels": [1]}}, 400, "list of strings"),
    ("nli", {"inputs": "", "parameters": {"candidate_labels": ["a"]}}, 400, "the text is empty"),
    ("nli", {"inputs": ["x", ""], "parameters": {"candidate_labels": ["a"]}}, 400, "the text is empty"),
    ("nli", {"inputs": [], "parameters": {"candidate_labels": ["a"]}}, 400, "empty list"),
    ("nli", {"inputs": "x", "candidate_labels": "a", "hypothesis_template": "b"}, 400, "must hold {}"),
    ("nli", {"inputs": "x", "candidate_labels": LONG[:600].replace(",", "")}, 400, "makes a hypothesis of"),
    ("nli", {"inputs": {"text": "x", "labels": ["a"]}}, 400, "unknown parameter 'labels'"),
    ("nli", {"inputs": LONG, "parameters": {"candidate_labels": "a", "truncation": False}}, 400, "takes 64"),
    ("entities", {"inputs": {"text": "x"}}, 400, "an object"),
    ("entities", {"inputs": []}, 400, "empty list"),
    ("entities", {"inputs": "x", "parameters": {"aggregation_strategy": "best"}}, 400, "none, simple, first"),
    ("entities", {"inputs": "x", "parameters": {"stride": 3}}, 400, "needs an aggregation_strategy"),
    ("entities", {"inputs": "x", "parameters": {"stride": 62, "aggregation_strategy": "max"}}, 400, "from 0 to 61"),
    ("entities", {"inputs": "x", "parameters": {"ignore_labels": [0]}}, 400, "list of strings"),
    ("entities", {"inputs": "x", "parameters": {"is_split_into_words": True}}, 400, "must be a list of words"),
    ("entities", {"inputs": ["x", ["y"]], "parameters": {"is_split_into_words": True}}, 400, "inputs[0] must be"),
    ("masked", {"inputs": "no mask"}, 400, "write <mask> where"),
    ("masked", {"inputs": ["a <mask>", "none"]}, 400, "write <mask> where"),
    ("masked", {"inputs": f"{LONG} <mask>"}, 400, "behind the 64 tokens"),
    ("masked", {"inputs": "<mask>", "parameters": {"targets": []}}, 400, "'targets' holds no word"),
    ("masked", {"inputs": "<mask>", "parameters": {"top_k": -1}}, 400, "at least 1"),
    ("masked", {"inputs": []}, 400, "empty list"),
]
GOOD: dict[str, dict[str, Any]] = {
    "sentiment": {"inputs": "x"},
    "nli": {"inputs": "x", "candidate_labels": "a"},
    "entities": {"inputs": "x"},
    "masked": {"inputs": "<mask>"},
}


@pytest.mark.parametrize(("name", "body", "status", "words"), BAD, ids=[f"{case[0]}: {case[3]}" for case in BAD])
def test_mistakes_are_told_and_harm_nobody(
    classifying: Service, name: str, body: dict[str, Any], status: int, words: str
) -> None:
    url = f"{classifying.url}/models/{name}"
    response = httpx.post(url, json=body, timeout=60)
    assert response.status_code == status, response.text
    assert words in response.json()["error"]
    assert "Traceback" not in response.text
    assert httpx.post(url, json=GOOD[name], timeout=60).status_code == 200

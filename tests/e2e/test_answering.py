"""Served models that answer questions about texts and tables, and that rank: over HTTP, by clients, over gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc
from huggingface_hub import InferenceClient
from sentence_transformers import CrossEncoder
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.models.text import WINDOW
from tests.oracle import question_answering as oracle
from tests.oracle import record
from transformers import pipeline
from tritonclient.utils import InferenceServerException

from hub2triton import tasks

pytestmark = pytest.mark.e2e

JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28"}
COLUMNS = {"city": ["paris", "a big old city", "Zoe\u0308 🙂"], "people": ["12", "3400", "7"]}
QUERIES = ["how many people?", "the sum of people in the big city", "paris"]
TEXTS = ["a red bird", "Zoe\u0308 🙂 loves paris", "the old horse saw a machine in the street " * 20, "", "winter"]


@pytest.fixture(scope="module", autouse=True)
def models(load: Load, tiny: Callable[[str], Path]) -> None:
    load(
        ("answers", tiny("bert_squad"), "question-answering"),
        ("cells", tiny("tapas_wtq"), "table-question-answering"),
        ("words", tiny("tapex_bart"), "table-question-answering"),
        ("ranks", tiny("roberta_cross_encoder"), "text-ranking"),
    )


def post(served: Service, model: str, body: object, headers: dict[str, str] | None = None) -> Any:
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def assert_same(found: Any, wanted: Any) -> None:
    for one, other in zip(*(value if isinstance(value, list) else [value] for value in (found, wanted)), strict=True):
        assert {**one, "score": 0} == {**other, "score": 0}
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


@pytest.fixture(scope="module")
def table_pipeline(tiny: Callable[[str], Path]) -> Callable[..., Any]:
    reference = pipeline("table-question-answering", model=str(tiny("tapas_wtq")), device="cpu")
    return lambda query, **options: json.loads(
        json.dumps(reference(table=pd.DataFrame(COLUMNS, dtype=str), query=query, **options))
    )


@pytest.fixture(scope="module")
def scorer(tiny: Callable[[str], Path]) -> CrossEncoder:
    return CrossEncoder(str(tiny("roberta_cross_encoder")), device="cpu", max_length=WINDOW)


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("answers", "question-answering"),
        ("cells", "table-question-answering"),
        ("words", "table-question-answering"),
        ("ranks", "sentence-ranking"),
    ],
)
def test_the_example(served: Service, model: str, task: str) -> None:
    spec = tasks.find(task)
    assert spec is not None
    body = json.loads(json.dumps(dict(spec.example)))
    if model == "words":  # the example's table is longer than this model's window
        body["parameters"] = {"truncation": True}
    assert post(served, model, body)


def test_answers_are_those_of_transformers_4(served: Service) -> None:
    for case in record.stored(oracle.NAME):
        if case.model == "bert_squad":
            assert_same(post(served, "answers", {"inputs": case.inputs, "parameters": case.parameters}), case.answer)


def test_questions_in_all_forms(served: Service) -> None:
    short, context = oracle.SHORT, oracle.SHORT["context"]
    one = post(served, "answers", {"inputs": short})
    assert set(one) == {"score", "start", "end", "answer"}
    for body in (short, {"inputs": [short]}, {"inputs": {"question": [short["question"]], "context": [context]}}):
        assert_same(post(served, "answers", body), one)
    asked = [short["question"], "where is the dog?"]
    many = [post(served, "answers", {"inputs": {"question": text, "context": context}}) for text in asked]
    for inputs in (
        {"question": asked, "context": context},
        {"question": asked, "context": [context] * 2},
        [{"question": text, "context": context} for text in asked],
    ):
        assert_same(post(served, "answers", {"inputs": inputs}), many)
    seventy = post(served, "answers", {"inputs": [short, oracle.LONG] * 35})
    assert_same(seventy, [one, post(served, "answers", {"inputs": oracle.LONG})] * 35)


def test_table_answers_are_the_pipelines(served: Service, table_pipeline: Callable[..., Any]) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    for query in QUERIES:
        for key in ("query", "question"):
            for table in (COLUMNS, rows):
                assert post(served, "cells", {"inputs": {key: query, "table": table}}) == table_pipeline(query)
    body = {"inputs": {"query": QUERIES, "table": COLUMNS}}
    assert post(served, "cells", body) == [table_pipeline(query) for query in QUERIES]
    body["parameters"] = {"sequential": True, "padding": "longest", "truncation": True, "model": "http://x"}
    assert post(served, "cells", body) == table_pipeline(QUERIES, sequential=True)


def test_a_model_that_writes_answers_with_one_key(served: Service) -> None:
    body = {"inputs": {"query": QUERIES[0], "table": {"a": ["x"]}}}
    found = post(served, "words", body)
    assert list(found) == ["answer"]
    assert post(served, "words", {"inputs": [body["inputs"]] * 2}) == [found] * 2


def test_scores_are_the_librarys(served: Service, scorer: CrossEncoder) -> None:
    pairs = [["where is the bird?", text] for text in TEXTS] * 10
    wanted = scorer.predict(pairs)
    np.testing.assert_allclose(post(served, "ranks", {"inputs": pairs})["scores"], wanted, atol=1e-5)
    assert post(served, "ranks", {"inputs": pairs[0]})["scores"] == pytest.approx(wanted[0], abs=1e-5)
    ranks = scorer.rank("where is the bird?", TEXTS)
    asked = {"query": "where is the bird?", "texts": TEXTS}
    for body in ({"inputs": asked}, asked):
        found = post(served, "ranks", body)
        assert [rank["index"] for rank in found] == [rank["corpus_id"] for rank in ranks]
        np.testing.assert_allclose([rank["score"] for rank in found], [rank["score"] for rank in ranks], atol=1e-5)
    assert post(served, "ranks", {**asked, "return_text": True})[0]["text"] == TEXTS[ranks[0]["corpus_id"]]


# ---- clients


def test_inference_client_answers_questions(served: Service) -> None:
    client = InferenceClient(model=f"{served.url}/models/answers")
    wanted = post(served, "answers", {"inputs": oracle.LONG})
    found = client.question_answering(**oracle.LONG)
    assert (found.answer, found.start, found.end) == (wanted["answer"], wanted["start"], wanted["end"])
    assert found.score == pytest.approx(wanted["score"])
    many = client.question_answering(**oracle.LONG, top_k=3, max_answer_len=4, align_to_words=True, doc_stride=9)
    assert [answer.answer for answer in many] == [
        answer["answer"]
        for answer in post(
            served, "answers", {"inputs": oracle.LONG, "parameters": {"top_k": 3, "max_answer_len": 4, "doc_stride": 9}}
        )
    ]


def test_inference_client_answers_about_tables(served: Service, table_pipeline: Callable[..., Any]) -> None:
    url = f"{served.url}/models/cells"
    found = InferenceClient(model=url).table_question_answering(COLUMNS, QUERIES[1])
    wanted = table_pipeline(QUERIES[1])
    assert (found.answer, found.aggregator, found.cells) == (wanted["answer"], wanted["aggregator"], wanted["cells"])
    found = InferenceClient().table_question_answering(COLUMNS, QUERIES[1], model=url, sequential=True, truncation=True)
    assert found.coordinates == wanted["coordinates"]
    written = InferenceClient(model=f"{served.url}/models/words").table_question_answering({"a": ["x"]}, "how many?")
    assert isinstance(written.answer, str)


def test_the_javascript_client_gets_what_its_parser_needs(served: Service) -> None:
    for model in ("cells", "words"):
        body = {"inputs": {"question": QUERIES[0], "table": {"a": ["x"]}}}
        found = post(served, model, body, JAVASCRIPT)
        assert isinstance(found["answer"], str)
        assert isinstance(found["aggregator"], str)
        assert all(isinstance(cell, str) for cell in found["cells"])
        assert all(isinstance(number, int) for place in found["coordinates"] for number in place)
        assert found["answer"] == post(served, model, body)["answer"]
    found = post(served, "answers", {"inputs": oracle.SHORT}, JAVASCRIPT)
    assert {name: type(value) for name, value in found.items()} == {
        "score": float,
        "start": int,
        "end": int,
        "answer": str,
    }


def infer(served: Service, model: str, **inputs: list[list[str]]) -> dict[str, np.ndarray]:
    """The outputs of a model, asked over gRPC without the shim."""
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    try:
        given = []
        for name, rows in inputs.items():
            array = np.array([[item.encode() for item in row] for row in rows], dtype=object)
            given.append(tritonclient.grpc.InferInput(name, list(array.shape), "BYTES"))
            given[-1].set_data_from_numpy(array)
        result = client.infer(model, given)
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}
    finally:
        client.close()


def test_tritonclient_gets_spans(served: Service) -> None:
    context = oracle.SHORT["context"]
    found = infer(
        served,
        "answers",
        question=[["who is happy?"], ["who?"]],
        context=[[context], ["Ann"]],
        parameters_json=[['{"top_k": 3}']] * 2,
    )
    assert {name: array.dtype for name, array in found.items()} == {
        "answer": np.object_,
        "score": np.float32,
        "start": np.int32,
        "end": np.int32,
        "count": np.int32,
    }
    assert found["answer"].shape == found["score"].shape == (2, 3)
    assert found["count"][0] == [3]
    for answer, start, end in zip(found["answer"][0], found["start"][0], found["end"][0], strict=True):
        assert answer.decode() == context[start:end]
    length = int(found["count"][1, 0])
    assert not found["score"][1, length:].any()
    assert found["answer"][1, 0].decode() in "Ann"


def test_tritonclient_gets_cells(served: Service, table_pipeline: Callable[..., Any]) -> None:
    found = infer(served, "cells", query=[[query] for query in QUERIES], table_json=[[json.dumps(COLUMNS)]] * 3)
    assert found["coordinates"].dtype == np.int32
    for row, query in enumerate(QUERIES):
        wanted = table_pipeline(query)
        length = int(found["count"][row, 0])
        assert found["answer"][row, 0].decode() == wanted["answer"]
        assert found["aggregator"][row, 0].decode() == wanted["aggregator"]
        assert [cell.decode() for cell in found["cells"][row, :length]] == wanted["cells"]
        assert found["coordinates"][row, :length].tolist() == wanted["coordinates"]


def test_tritonclient_gets_scores(served: Service, scorer: CrossEncoder) -> None:
    found = infer(served, "ranks", query=[["bird"], ["winter"]], texts=[TEXTS, TEXTS])
    for query, scores in zip(("bird", "winter"), found["score"], strict=True):
        np.testing.assert_allclose(scores, scorer.predict([(query, text) for text in TEXTS]), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "inputs", "told"),
    [
        ("answers", {"question": [[""]], "context": [["x"]]}, "the question is empty"),
        ("answers", {"question": [["x"]], "context": [["x"]], "parameters_json": [['{"top_k": 0}']]}, "at least 1"),
        ("cells", {"query": [["x"]], "table_json": [["{"]]}, "not valid JSON"),
        ("cells", {"query": [["x"]], "table_json": [['{"a": []}']]}, "the table is empty"),
        ("words", {"query": [[" "]], "table_json": [['{"a": ["1"]}']]}, "the query is empty"),
        ("ranks", {"query": [["x"]], "texts": [["y"]], "parameters_json": [['{"nix": 1}']]}, "unknown parameter 'nix'"),
    ],
)
def test_tritonclients_mistakes(served: Service, model: str, inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(InferenceServerException, match=told):
        infer(served, model, **inputs)


GOOD: dict[str, Any] = {
    "answers": oracle.SHORT,
    "cells": {"query": "x", "table": COLUMNS},
    "words": {"query": "x", "table": {"a": ["1"]}},
    "ranks": ["a", "b"],
}
TALL = {"a": ["a very big old city in the sun"] * 30}
BAD: list[tuple[str, Any, dict[str, Any], int, str]] = [
    ("answers", "who?", {}, 400, "question"),
    ("answers", {"question": "who?"}, {}, 400, "has no 'context'"),
    ("answers", {"question": 1, "context": "x"}, {}, 400, "number 1"),
    ("answers", {"question": "", "context": "x"}, {}, 400, "the question is empty"),
    ("answers", {"question": "x", "context": ""}, {}, 400, "the context is empty"),
    ("answers", [], {}, 400, "empty list"),
    ("answers", {"question": ["a", "b"], "context": ["x", "y", "z"]}, {}, 400, "2 and 3"),
    ("answers", {"question": "who " * 999, "context": "x"}, {}, 400, "leave no room"),
    ("answers", {"question": "who", "context": "x" * 1_000_001}, {}, 413, "1,000,001 characters"),
    ("answers", oracle.SHORT, {"top_k": 0}, 400, "at least 1"),
    ("answers", oracle.SHORT, {"top_k": "3"}, 400, "whole number"),
    ("answers", oracle.SHORT, {"topp": 3}, 400, "did you mean"),
    ("answers", oracle.SHORT, {"max_seq_len": WINDOW + 1}, 400, f"{WINDOW} tokens"),
    ("answers", oracle.SHORT, {"doc_stride": WINDOW + 1}, 400, "larger than max_seq_len"),
    ("cells", {"query": "x"}, {}, 400, "has no 'table'"),
    ("cells", {"table": COLUMNS}, {}, 400, "has no 'query'"),
    ("cells", {"query": "", "table": COLUMNS}, {}, 400, "the query is empty"),
    ("cells", {"query": "x", "table": {}}, {}, 400, "the table is empty"),
    ("cells", {"query": "x", "table": {"a": ["1"], "b": ["1", "2"]}}, {}, 400, "equally long"),
    ("cells", {"query": "x", "table": [{"a": "1"}, {"b": "1"}]}, {}, 400, "row 1"),
    ("cells", {"query": "x", "table": {"a": [{"b": "1"}]}}, {}, 400, "must be a string"),
    ("cells", {"query": "x", "table": {f"c{number}": ["1"] for number in range(99)}}, {}, 400, "99 columns"),
    ("cells", {"query": "x", "table": TALL}, {"truncation": False}, 400, "send fewer rows"),
    ("cells", {"query": "x", "table": COLUMNS}, {"sequential": "yes"}, 400, "true or false"),
    ("words", {"query": "x", "table": TALL}, {}, 400, "set truncation to true"),
    ("ranks", "a", {}, 400, "for a pair"),
    ("ranks", ["a", "b", "c"], {}, 400, "not 3"),
    ("ranks", [], {}, 400, "empty list"),
    ("ranks", {"query": "q"}, {}, 400, "has no 'texts'"),
    ("ranks", {"query": "q", "texts": []}, {}, 400, "empty list"),
    ("ranks", {"sentences": ["a", "b"], "query": "q", "texts": ["x"]}, {}, 400, "not both"),
    ("ranks", ["a", "b " * 999], {"truncate": False}, 400, "shorten them"),
    ("ranks", ["a", "b"], {"top_k": 1}, 400, "unknown parameter"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}-{case[4]}")
def test_bad_requests(served: Service, case: tuple[str, Any, dict[str, Any], int, str]) -> None:
    model, inputs, parameters, status, told = case
    body = {"inputs": inputs, "parameters": parameters}
    response = httpx.post(f"{served.url}/models/{model}", json=body, timeout=60)
    assert response.status_code == status, response.text
    assert told in response.json()["error"]
    assert post(served, model, {"inputs": GOOD[model]})

"""Summarization, translation and text2text-generation on the real servers, against transformers 4's pipelines."""

from __future__ import annotations

import asyncio
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
from tests.oracle import record
from tests.oracle.seq2seq import LONG, SHORT, TEXTS, TOO_LONG

from hub2triton import tasks

pytestmark = pytest.mark.e2e

MODELS = {
    ("summarization", "bart_summary"): "summaries",
    ("translation", "nllb"): "languages",
    ("translation_en_to_fr", "t5_prefixes"): "french",
    ("text2text-generation", "flan_t5"): "rewriter",
}
CASES = [case for case in record.stored("seq2seq") if (case.task, case.model) in MODELS]
LANGUAGES = {"src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}
JAVASCRIPT = {"User-Agent": "@huggingface/inference/4.13.28 Node.js/22"}


@pytest.fixture(scope="module", autouse=True)
def loaded(load: Load, tiny: Callable[[str], Path]) -> None:
    load(*((name, tiny(model), task) for (task, model), name in MODELS.items()))


def post(served: Service, model: str, body: object, status: int = 200, **headers: str) -> Any:
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=120)
    assert response.status_code == status, response.text
    return response.json()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_are_the_pipelines(served: Service, case: record.Case) -> None:
    body = {"inputs": case.inputs, "parameters": case.parameters}
    assert post(served, MODELS[case.task, case.model], body) == case.answer


def test_documented_payloads(served: Service) -> None:
    """The examples of the tasks, and what Hugging Face's client sends for parameters."""
    for task, model, parameters in (
        ("summarization", "summaries", {}),
        ("summarization", "summaries", {"generate_parameters": {"max_length": 9}, "truncation": "longest_first"}),
        ("translation", "french", {}),
        ("translation", "languages", LANGUAGES),
        ("text2text-generation", "rewriter", {"max_new_tokens": 12}),
    ):
        spec = tasks.find(task)
        assert spec is not None
        (answer,) = post(served, model, {**spec.example, "parameters": parameters})
        assert list(answer) == [spec.variants[spec.library].outputs[0].name]


def test_inference_client(served: Service) -> None:
    def client(model: str) -> InferenceClient:
        return InferenceClient(model=f"{served.url}/models/{model}")

    (wanted,) = post(served, "summaries", {"inputs": LONG, "parameters": {"max_length": 9}})
    summary = client("summaries").summarization(LONG, generate_parameters={"max_length": 9})
    assert summary.summary_text == wanted["summary_text"]
    (wanted,) = post(served, "languages", {"inputs": LONG, "parameters": LANGUAGES})
    assert client("languages").translation(LONG, **LANGUAGES).translation_text == wanted["translation_text"]
    (wanted,) = post(served, "rewriter", {"inputs": LONG, "parameters": {"max_new_tokens": 12}})
    assert client("rewriter").text_generation(LONG, max_new_tokens=12) == wanted["generated_text"]
    told = client("rewriter").text_generation(
        LONG, max_new_tokens=12, details=True, decoder_input_details=True, return_full_text=True
    )
    assert told.generated_text == wanted["generated_text"]
    assert len(told.details.tokens) == told.details.generated_tokens
    assert all(token.logprob < 0 for token in told.details.tokens)
    assert [token.logprob for token in told.details.prefill] == [None]


@pytest.mark.parametrize("model", ["summaries", "french"])
def test_the_javascript_client_gets_a_list(served: Service, model: str) -> None:
    body = {"inputs": SHORT, "parameters": {"max_new_tokens": 8}}
    found = post(served, model, body, **JAVASCRIPT)
    assert found == post(served, model, body)
    assert all(isinstance(value, str) for item in found for value in item.values())


def test_tritonclient_gets_lists_of_texts(served: Service) -> None:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    text = tritonclient.grpc.InferInput("text", [2, 1], "BYTES")
    text.set_data_from_numpy(np.array([[SHORT], [LONG]], dtype=object))
    options = {"num_return_sequences": 2}
    given = tritonclient.grpc.InferInput("parameters_json", [2, 1], "BYTES")
    given.set_data_from_numpy(np.full((2, 1), json.dumps(options), dtype=object))
    result = client.infer("summaries", [text, given])
    texts, count = result.as_numpy("summary_text"), result.as_numpy("count")
    assert count.tolist() == [[2], [2]]
    assert count.dtype == np.int32
    wanted = post(served, "summaries", {"inputs": [SHORT, LONG], "parameters": options})
    assert [[{"summary_text": item.decode()} for item in row] for row in texts] == wanted
    client.close()


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "told"),
    [
        ("summaries", None, {}, "null"),
        ("summaries", 5, {}, "number 5"),
        ("summaries", {"text": "a"}, {}, "an object"),
        ("summaries", [], {}, "empty list"),
        ("summaries", ["a", 5], {}, "inputs[1]"),
        ("summaries", "a", {"max_tokens": 5}, "unknown parameter 'max_tokens'; did you mean"),
        ("summaries", "a", {"src_lang": "en"}, "unknown parameter 'src_lang'"),
        ("summaries", "a", {"max_length": 0}, "at least 1"),
        ("summaries", "a", {"num_beams": 1000}, "num_beams"),
        ("summaries", "a", {"num_return_sequences": 9}, "num_return_sequences"),
        ("summaries", "a", {"temperature": -1, "do_sample": True}, "temperature"),
        ("summaries", TOO_LONG, {"truncation": "do_not_truncate"}, "183 tokens, but this model takes 64"),
        ("summaries", "a", {"return_tensors": True}, "return_tensors is not supported"),
        ("languages", "a", {}, "send the parameters src_lang and tgt_lang"),
        (
            "languages",
            "a",
            {"src_lang": "en", "tgt_lang": "fr"},
            "does not know the language 'en'; its codes are such as",
        ),
        ("french", "a", {"tgt_lang": "tlh"}, "does not translate from 'en' to 'tlh'"),
    ],
)
def test_bad_requests(served: Service, model: str, inputs: Any, parameters: dict[str, Any], told: str) -> None:
    error = post(served, model, {"inputs": inputs, "parameters": parameters}, status=400)["error"]
    assert told in error
    assert "Traceback" not in error
    good = {"summaries": {}, "languages": LANGUAGES, "french": {"max_new_tokens": 3}}[model]
    assert post(served, model, {"inputs": "a", "parameters": good})


def test_a_missing_key(served: Service) -> None:
    assert "inputs" in post(served, "summaries", {"text": "a"}, status=400)["error"]


def test_requests_of_several_languages_at_once(served: Service) -> None:
    """They share Triton's batches and the tokenizer, which marks the source language."""
    backwards = {"src_lang": "fra_Latn", "tgt_lang": "deu_Latn"}
    bodies = [{"inputs": text, "parameters": asked} for text in TEXTS for asked in (LANGUAGES, backwards)]
    alone = [post(served, "languages", body) for body in bodies]

    async def together() -> list[Any]:
        async with httpx.AsyncClient(timeout=120) as client:
            url = f"{served.url}/models/languages"
            return [found.json() for found in await asyncio.gather(*(client.post(url, json=body) for body in bodies))]

    assert asyncio.run(together()) == alone

"""text-generation and conversational on the real server: Hugging Face payloads, clients, Triton's own endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import tritonclient.grpc
from huggingface_hub import InferenceClient
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.models.causal import PROMPT, WINDOW
from transformers import Pipeline, pipeline
from tritonclient.utils import InferenceServerException

from hub2triton import tasks

pytestmark = pytest.mark.e2e

PROMPTS = [PROMPT, "a", "the sun is warm and the river is long and the people in the street walk to the sea. the"]
GREEDY = {"do_sample": False, "max_new_tokens": 12}
USER = {"role": "user", "content": "who is the teacher?"}
CHATS = [[USER], [USER, {"role": "assistant", "content": "the old man"}]]
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28"}


@pytest.fixture(scope="module", autouse=True)
def loaded(load: Load, tiny: Callable[[str], Path]) -> None:
    load(
        ("writer", tiny("gpt2_text"), "text-generation"),
        ("chat", tiny("qwen2_chat"), "conversational"),
    )


@pytest.fixture(scope="module")
def writer(tiny: Callable[[str], Path]) -> Pipeline:
    return pipeline("text-generation", model=str(tiny("gpt2_text")), device="cpu")


@pytest.fixture(scope="module")
def chat(tiny: Callable[[str], Path]) -> Pipeline:
    return pipeline("text-generation", model=str(tiny("qwen2_chat")), device="cpu")


def post(served: Service, model: str, body: object, **headers: str) -> Any:
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("headers", [{}, JAVASCRIPT], ids=["curl", "javascript"])
def test_texts_are_the_pipelines(served: Service, writer: Pipeline, headers: dict[str, str]) -> None:
    for inputs in (PROMPT, [PROMPT], PROMPTS * 4, ""):  # more rows than a batch has
        for more in ({}, {"num_beams": 2, "num_return_sequences": 2}, {"repetition_penalty": 1.5}):
            asked = {**GREEDY, **more}
            assert post(served, "writer", {"inputs": inputs, "parameters": asked}, **headers) == writer(inputs, **asked)


def test_a_seed_gives_the_same_text_whoever_else_asks(served: Service, writer: Pipeline) -> None:
    expected = []
    for text in PROMPTS:
        torch.manual_seed(7)
        expected.append(writer(text, max_new_tokens=20))
    asked = {"max_new_tokens": 20, "seed": 7}
    with ThreadPoolExecutor(12) as pool:
        others = [
            pool.submit(post, served, "writer", {"inputs": f"other {index}", "parameters": {"max_new_tokens": 20}})
            for index in range(12)
        ]
        found = list(pool.map(lambda text: post(served, "writer", {"inputs": text, "parameters": asked}), PROMPTS * 4))
        assert all(other.result() for other in others)
    assert found == expected * 4
    assert post(served, "writer", {"inputs": PROMPTS, "parameters": asked}) == expected


@pytest.mark.parametrize("name", ["text-generation", "conversational"])
def test_the_examples(served: Service, writer: Pipeline, chat: Pipeline, name: str) -> None:
    spec = tasks.find(name)
    assert spec is not None
    model, pipe = {"text-generation": ("writer", writer), "conversational": ("chat", chat)}[name]
    body = dict(spec.example)
    assert post(served, model, body) == pipe(body["inputs"], **body["parameters"])


def test_chats_are_the_pipelines(served: Service, chat: Pipeline) -> None:
    for inputs in (CHATS[0], CHATS[1], CHATS, CHATS[:1], CHATS * 5):
        for more in ({}, {"return_full_text": False}):
            asked = {**GREEDY, **more}
            assert post(served, "chat", {"inputs": inputs, "parameters": asked}) == chat(inputs, **asked)


def test_chats_in_other_forms(served: Service, chat: Pipeline) -> None:
    expected = chat([USER], **GREEDY)
    assert post(served, "chat", {"messages": [USER], **GREEDY}) == expected
    assert post(served, "chat", {"inputs": {"messages": [USER]}, "parameters": GREEDY}) == expected
    assert post(served, "chat", {"inputs": {"text": USER["content"]}, "parameters": GREEDY}) == expected
    parts = {"role": "user", "content": [{"type": "text", "text": USER["content"]}]}
    (entry,) = post(served, "chat", {"inputs": [parts], "parameters": GREEDY})
    assert entry["generated_text"] == [parts, expected[0]["generated_text"][-1]]
    past = {"past_user_inputs": ["a"], "generated_responses": ["b"], "text": "c"}
    told = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    assert post(served, "chat", {"inputs": past, "parameters": GREEDY}) == chat(told, **GREEDY)


def test_a_chat_for_a_model_of_text_generation(served: Service) -> None:
    (entry,) = post(served, "writer", {"inputs": [USER], "parameters": GREEDY})
    assert entry["generated_text"][0] == USER
    (plain,) = post(
        served, "writer", {"inputs": "user: who is the teacher?\nassistant:", "return_full_text": False, **GREEDY}
    )
    assert entry["generated_text"][1] == {"role": "assistant", "content": plain["generated_text"]}


# ---- clients


def test_inference_client(served: Service, writer: Pipeline) -> None:
    client = InferenceClient(model=f"{served.url}/models/writer")
    expected = writer(PROMPT, **GREEDY)[0]["generated_text"]
    assert client.text_generation(PROMPT, **GREEDY) == expected
    new = expected.removeprefix(PROMPT)
    assert client.text_generation(PROMPT, return_full_text=False, **GREEDY) == new
    words = re.findall("[a-z]{3,}", new)
    stop = words[len(words) // 2]
    found = client.text_generation(PROMPT, details=True, seed=3, stop=[stop], **GREEDY)
    assert found.generated_text == writer(PROMPT, stop_sequence=stop, **GREEDY)[0]["generated_text"]
    assert (found.details.finish_reason, found.details.seed) == ("stop_sequence", 3)
    assert 0 < found.details.generated_tokens < 12
    details = client.text_generation(
        PROMPT, details=True, decoder_input_details=True, top_n_tokens=2, return_full_text=False, **GREEDY
    ).details
    assert writer.tokenizer.decode([token.id for token in details.tokens]) == new
    assert [token.id for token in details.prefill] == writer.tokenizer(PROMPT)["input_ids"]
    assert details.prefill[0].logprob is None
    ids = torch.tensor([[token.id for token in (*details.prefill, *details.tokens)]])
    with torch.inference_mode():
        scores = writer.model(ids).logits[0].log_softmax(dim=-1)
    expected = scores[:-1].gather(1, ids[0, 1:, None]).squeeze(1).tolist()
    found_logprobs = [token.logprob for token in (*details.prefill[1:], *details.tokens)]
    np.testing.assert_allclose(found_logprobs, expected, atol=1e-4)
    # Where a letter is not finished yet, the texts of the two differ.
    likeliest = [(top[0]["id"], top[0]["logprob"]) for top in details.top_tokens]
    assert likeliest == [(token.id, token.logprob) for token in details.tokens]
    assert [len(top) for top in details.top_tokens] == [2] * len(details.tokens)
    sampled = {"do_sample": True, "seed": 5, "max_new_tokens": 9, "details": True}
    chosen = client.text_generation(PROMPT, best_of=3, **sampled)
    other = client.text_generation(PROMPT, **{**sampled, "seed": chosen.details.seed})
    assert chosen.generated_text == other.generated_text
    assert len(chosen.details.best_of_sequences) == 2
    torch.manual_seed(5)
    drawn = writer(PROMPT, do_sample=True, temperature=1.3, top_k=9, top_p=0.9, typical_p=0.8, max_new_tokens=9)
    sampled = {"temperature": 1.3, "top_k": 9, "top_p": 0.9, "typical_p": 0.8, "max_new_tokens": 9}
    assert client.text_generation(PROMPT, do_sample=True, seed=5, **sampled) == drawn[0]["generated_text"]


def test_tritonclient_gets_typed_tensors(served: Service, writer: Pipeline) -> None:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    text = tritonclient.grpc.InferInput("text_input", [3, 1], "BYTES")
    text.set_data_from_numpy(np.array([[prompt] for prompt in PROMPTS], dtype=object))
    asked = {**GREEDY, "num_beams": 2, "num_return_sequences": 2}
    given = tritonclient.grpc.InferInput("parameters_json", [3, 1], "BYTES")
    given.set_data_from_numpy(np.full((3, 1), json.dumps(asked), dtype=object))
    result = client.infer("writer", [text, given])
    texts = [[one.decode() for one in row] for row in result.as_numpy("text_output")]
    assert texts == [[entry["generated_text"] for entry in row] for row in writer(PROMPTS, **asked)]
    assert result.as_numpy("count").tolist() == [[2]] * 3
    assert result.as_numpy("generated_tokens").dtype == np.int32
    assert result.as_numpy("generated_tokens").tolist() == [[12, 12]] * 3
    assert result.as_numpy("finish_reason").tolist() == [[b"length"] * 2] * 3
    assert result.as_numpy("details_json").tolist() == [[b"{}"] * 2] * 3
    messages = tritonclient.grpc.InferInput("messages_json", [1, 1], "BYTES")
    messages.set_data_from_numpy(np.array([["not JSON"]], dtype=object))
    with pytest.raises(InferenceServerException, match="not valid JSON"):
        client.infer("chat", [messages])
    messages.set_data_from_numpy(np.array([[json.dumps([USER])]], dtype=object))
    assert client.infer("chat", [messages]).as_numpy("text_output").shape == (1, 1)
    client.close()


def test_tritons_generate_endpoint(served: Service, writer: Pipeline) -> None:
    url = f"http://127.0.0.1:{served.http_port}/v2/models/writer/generate"
    answer = httpx.post(url, json={"text_input": PROMPT, "parameters_json": json.dumps(GREEDY)}, timeout=60).json()
    assert answer["text_output"] == writer(PROMPT, **GREEDY)[0]["generated_text"]
    assert (answer["finish_reason"], answer["generated_tokens"]) == ("length", 12)
    assert httpx.post(url, json={"text_input": PROMPT}, timeout=60).json()["text_output"].startswith(PROMPT)
    bad = httpx.post(url, json={"text_input": PROMPT, "parameters_json": '{"temperature": 0}'}, timeout=60)
    assert bad.status_code == 400
    assert "'temperature' must be at least" in bad.json()["error"]


# ---- what callers get wrong

BAD: list[tuple[str, str, Any, int, str]] = [
    ("a number", "writer", {"inputs": 5}, 400, "number 5"),
    ("nothing", "writer", {"inputs": []}, 400, "empty list"),
    ("no inputs", "writer", {"prompt": "a"}, 400, 'no key "inputs"'),
    ("an unknown parameter", "writer", {"inputs": "a", "parameters": {"max_token": 5}}, 400, "did you mean"),
    ("a watermark", "writer", {"inputs": "a", "parameters": {"watermark": True}}, 400, "not supported"),
    ("a grammar", "writer", {"inputs": "a", "parameters": {"grammar": {"type": "json"}}}, 400, "not supported"),
    ("a wrong type", "writer", {"inputs": "a", "parameters": {"max_new_tokens": "5"}}, 400, "a whole number"),
    ("no temperature", "writer", {"inputs": "a", "parameters": {"temperature": 0}}, 400, "at least 0.0001"),
    ("too much probability", "writer", {"inputs": "a", "parameters": {"top_p": 3}}, 400, "top_p"),
    ("too many tokens", "writer", {"inputs": "a", "parameters": {"max_new_tokens": 10**9}}, 400, "more than the 4096"),
    ("too many beams", "writer", {"inputs": "a", "parameters": {"num_beams": 1000}}, 400, "between 1 and 16"),
    ("a long prompt", "writer", {"inputs": "a " * 2 * WINDOW}, 400, f"has {WINDOW} positions"),
    ("a huge prompt", "writer", {"inputs": "a " * 2**20}, 413, "characters"),
    ("a text for a chat", "chat", {"inputs": "hello"}, 400, "must be a list of messages"),
    ("no message", "chat", {"inputs": [[]]}, 400, "empty list"),
    ("no content", "chat", {"inputs": [{"role": "user"}]}, 400, 'no "content"'),
    (
        "content of another kind",
        "chat",
        {"inputs": [{"role": "user", "content": 5}]},
        400,
        'must have a "content" that is a string',
    ),
    ("an image", "chat", {"inputs": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "'image'"),
    ("a template's no", "chat", {"inputs": [{"role": "nobody", "content": "a"}]}, 400, "nobody cannot speak"),
    ("a long chat", "chat", {"inputs": [{"role": "user", "content": "a " * 200}]}, 400, "positions"),
]


@pytest.mark.parametrize(("model", "body", "status", "told"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_requests(served: Service, model: str, body: Any, status: int, told: str) -> None:
    response = httpx.post(f"{served.url}/models/{model}", json=body, timeout=60)
    assert response.status_code == status, response.text
    assert told in response.json()["error"]
    good = {"inputs": "a" if model == "writer" else [USER], "parameters": GREEDY}
    assert httpx.post(f"{served.url}/models/{model}", json=good, timeout=60).status_code == 200


def test_the_log_says_nothing_of_requests_that_go_well(served: Service) -> None:
    before = len(served.output)
    for parameters in ({}, {"temperature": 0.5, "do_sample": False}, {"max_length": 30, "max_new_tokens": 5}):
        for model, inputs in (("writer", PROMPT), ("writer", ""), ("chat", [USER])):
            post(served, model, {"inputs": inputs, "parameters": {"max_new_tokens": 5, **parameters}})
    assert served.output[before:] == ""

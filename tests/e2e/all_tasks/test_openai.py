"""The package openai, and requests as clients of text-embeddings-inference and Cohere send them."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

CHAT: Any = [{"role": "user", "content": "who is the teacher?"}]
CERTAIN: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
TEXTS = ["a red bird", "a blue one", "the old horse"]


@pytest.fixture
def client(all_tasks: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{all_tasks.url}/v1", api_key="none", max_retries=0)


def own(all_tasks: Service, model: str, inputs: Any, **parameters: Any) -> Any:
    """The answer of the same model to Hugging Face's payload."""
    body = {"inputs": inputs, "parameters": parameters}
    return httpx.post(f"{all_tasks.url}/models/{model}", json=body, timeout=60).json()


def test_models(client: openai.OpenAI) -> None:
    assert {"text-generation", "sentence-embeddings"} <= {model.id for model in client.models.list()}


@pytest.mark.parametrize("encoding", ["float", "base64", openai.NOT_GIVEN])
def test_embeddings(client: openai.OpenAI, all_tasks: Service, encoding: Any) -> None:
    found = client.embeddings.create(model="sentence-embeddings", input=TEXTS, encoding_format=encoding)
    vectors = [entry.embedding for entry in found.data]
    if encoding == "base64":
        vectors = [np.frombuffer(base64.b64decode(vector), "<f4") for vector in vectors]
    wanted = own(all_tasks, "sentence-embeddings", TEXTS)["embeddings"]
    np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    assert found.usage.prompt_tokens == found.usage.total_tokens > len(TEXTS)


@pytest.mark.parametrize("model", ["text-generation", "conversational"])
def test_chat(client: openai.OpenAI, all_tasks: Service, model: str) -> None:
    found = client.chat.completions.create(model=model, messages=CHAT, **CERTAIN)
    (wanted,) = own(all_tasks, model, CHAT, max_new_tokens=6, do_sample=False, return_full_text=False)
    assert found.choices[0].message.content == wanted["generated_text"]
    assert found.usage is not None
    assert found.usage.prompt_tokens > 0
    assert 0 < found.usage.completion_tokens <= 6


def test_chat_as_a_stream(client: openai.OpenAI, all_tasks: Service) -> None:
    whole = client.chat.completions.create(model="conversational", messages=CHAT, **CERTAIN)
    parts = client.chat.completions.create(model="conversational", messages=CHAT, stream=True, **CERTAIN)
    said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert said == whole.choices[0].message.content


def test_chat_with_log_probabilities(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="conversational", messages=CHAT, logprobs=True, top_logprobs=2, **CERTAIN
    )
    assert found.choices[0].logprobs is not None
    content = found.choices[0].logprobs.content
    assert content
    for token in content:
        likeliest = [other.logprob for other in token.top_logprobs]
        assert len(likeliest) == 2
        assert likeliest == sorted(likeliest, reverse=True)
        assert token.logprob <= likeliest[0] + 1e-4 <= 1e-4  # not the first where the model's own settings say so


def test_completions(client: openai.OpenAI, all_tasks: Service) -> None:
    prompts = ["the old horse", "a red bird"]
    found = client.completions.create(model="text-generation", prompt=prompts, **CERTAIN)
    wanted = own(all_tasks, "text-generation", prompts, max_new_tokens=6, do_sample=False, return_full_text=False)
    assert [choice.text for choice in found.choices] == [row[0]["generated_text"] for row in wanted]


def test_an_error_is_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown parameter 'nonsense'"):
        client.completions.create(model="text-generation", prompt="a", extra_body={"nonsense": 1})
    with pytest.raises(openai.NotFoundError, match="name one of"):
        client.chat.completions.create(model="gpt-4", messages=CHAT)


def test_embed_similarity_and_rerank(all_tasks: Service) -> None:
    def post(path: str, **body: Any) -> Any:
        response = httpx.post(f"{all_tasks.url}{path}", json=body, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    vectors = np.array(post("/models/sentence-embeddings/embed", inputs=TEXTS, normalize=True))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    close = post("/models/sentence-embeddings/similarity", inputs={"source_sentence": TEXTS[0], "sentences": TEXTS[1:]})
    np.testing.assert_allclose(close, vectors[1:] @ vectors[0], atol=1e-5)
    ranks = post("/rerank", query="a bird", texts=TEXTS)  # one model alone can
    cohere = post("/v1/rerank", model="rerank-v3.5", query="a bird", documents=TEXTS, top_n=2)
    assert [(rank["index"], rank["score"]) for rank in ranks[:2]] == [
        (result["index"], result["relevance_score"]) for result in cohere["results"]
    ]
    assert post("/generate", inputs="the old horse", parameters={"max_new_tokens": 3})["generated_text"]

"""Served models give what the reference libraries give on the same weights."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from huggingface_hub import InferenceClient
from sentence_transformers import SentenceTransformer
from tests.e2e.service import Service
from transformers import pipeline

from hub2triton.tasks import embeddings
from hub2triton.tasks.spec import TaskSpec

pytestmark = pytest.mark.e2e

TEXTS = [
    "Hello",
    "A much longer sentence, with a number of words in it, so that padding has something to do.",
    "Ünïcode 🙂 text — combining e\u0301 and 漢字",
    "",
    " ".join(["word"] * 2000),
]


@pytest.fixture(scope="module")
def encoder(minilm: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm), device="cpu")


def post(served: Service, model: str, body: object, **headers: str) -> object:
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_embedding_of_a_text(served: Service, encoder: SentenceTransformer) -> None:
    answer = post(served, "minilm", {"inputs": "Hello"})
    vector = np.array(answer["embeddings"])
    assert vector.shape == (384,)
    assert cosine(vector, encoder.encode("Hello")) > 0.99999


def test_embeddings_of_a_list_keep_its_order(served: Service, encoder: SentenceTransformer) -> None:
    texts = [f"{text} {index}" for index in range(14) for text in TEXTS]  # 70 rows: more than one batch
    vectors = np.array(post(served, "minilm", {"inputs": texts})["embeddings"])
    reference = encoder.encode(texts)
    assert vectors.shape == reference.shape
    assert cosine(vectors, reference).min() > 0.99999
    np.testing.assert_allclose(vectors, reference, atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "encode"),
    [
        ({"normalize": True}, {"normalize_embeddings": True}),
        ({"dimensions": 64}, {"truncate_dim": 64}),
        ({"dimensions": 64, "normalize": True}, {"truncate_dim": 64, "normalize_embeddings": True}),
        ({"promptName": "query"}, {"prompt_name": "query"}),
    ],
)
def test_embedding_parameters(served: Service, encoder: SentenceTransformer, parameters: dict, encode: dict) -> None:
    reference = encoder.encode(TEXTS, **encode)
    for body in ({"inputs": TEXTS, "parameters": parameters}, {"inputs": TEXTS, **parameters}):
        np.testing.assert_allclose(np.array(post(served, "minilm", body)["embeddings"]), reference, atol=1e-5)


def test_embedding_without_the_models_own_normalization(served: Service, encoder: SentenceTransformer) -> None:
    vectors = np.array(post(served, "minilm", {"inputs": TEXTS, "normalize": False})["embeddings"])
    lengths = np.linalg.norm(vectors, axis=1)
    assert (abs(lengths - 1) > 0.01).all()
    np.testing.assert_allclose(vectors / lengths[:, None], encoder.encode(TEXTS), atol=1e-5)


def test_similarity(served: Service, encoder: SentenceTransformer) -> None:
    inputs = {"source_sentence": TEXTS[0], "sentences": TEXTS}
    reference = encoder.similarity(encoder.encode(TEXTS[:1]), encoder.encode(TEXTS))[0].numpy()
    for model in ("similarity", "minilm"):
        answer = post(served, model, {"inputs": inputs})
        np.testing.assert_allclose(answer["similarities"], reference, atol=1e-5)
    np.testing.assert_allclose(
        post(served, "similarity", {"inputs": [TEXTS[0], *TEXTS]})["similarities"], reference, atol=1e-5
    )


def test_similarity_to_no_sentence(served: Service) -> None:
    for model in ("similarity", "minilm"):
        answer = post(served, model, {"inputs": {"source_sentence": "a", "sentences": []}})
        assert answer == {"similarities": []}


def test_features_are_the_pipelines(served: Service, models_dir: Path) -> None:
    reference = pipeline("feature-extraction", model=str(models_dir / "bert_base"), device="cpu")
    texts = ["the cat is good", "a very long story about a house and a river and a tree", "dog"]
    answers = post(served, "features", {"inputs": texts})
    assert len(answers) == 3
    for text, answer in zip(texts, answers, strict=True):
        wanted = np.array(reference(text))
        assert np.array(answer).shape == wanted.shape
        np.testing.assert_allclose(answer, wanted, atol=1e-5)
        np.testing.assert_allclose(post(served, "features", {"inputs": text}), wanted, atol=1e-5)


def test_features_of_a_sentence_transformers_model_are_pooled(served: Service, models_dir: Path) -> None:
    reference = SentenceTransformer(str(models_dir / "sentence_mean"), device="cpu").encode(["the cat", "a dog"])
    answer = np.array(post(served, "pooled", {"inputs": ["the cat", "a dog"]}))
    np.testing.assert_allclose(answer, reference, atol=1e-5)
    assert np.array(post(served, "pooled", {"inputs": "the cat"})).shape == (1, reference.shape[1])


@pytest.mark.parametrize("spec", embeddings.SPECS, ids=lambda spec: spec.name)
def test_the_example_of_a_task(served: Service, spec: TaskSpec) -> None:
    info = httpx.get(f"{served.url}/info").json()
    model = next(model["name"] for model in info["models"] if model["task"] == spec.name)
    assert post(served, model, dict(spec.example))


# ---- clients


@pytest.mark.parametrize("model", ["minilm", "pooled"])
def test_inference_client(served: Service, minilm: Path, models_dir: Path, model: str) -> None:
    weights = {"minilm": minilm, "pooled": models_dir / "sentence_mean"}[model]
    reference = SentenceTransformer(str(weights), device="cpu")
    client = InferenceClient(model=f"{served.url}/models/{model}")
    features = client.feature_extraction("the cat")
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, reference.encode(["the cat"]), atol=1e-5)
    many = client.feature_extraction(["the cat", "a dog"], normalize=True)
    np.testing.assert_allclose(many, reference.encode(["the cat", "a dog"], normalize_embeddings=True), atol=1e-5)
    similarities = client.sentence_similarity("the cat", other_sentences=["a dog", "the cat"])
    assert similarities[1] == pytest.approx(1, abs=1e-5)
    vectors = reference.encode(["the cat", "a dog"])
    assert similarities[0] == pytest.approx(float(cosine(vectors[0], vectors[1])), abs=1e-5)


def test_inference_client_on_a_similarity_model(served: Service, encoder: SentenceTransformer) -> None:
    client = InferenceClient(model=f"{served.url}/models/similarity")
    found = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:3])
    np.testing.assert_allclose(
        found, encoder.similarity(encoder.encode(TEXTS[:1]), encoder.encode(TEXTS[1:3]))[0], atol=1e-5
    )


def test_inference_client_on_token_features(served: Service, models_dir: Path) -> None:
    reference = pipeline("feature-extraction", model=str(models_dir / "bert_base"), device="cpu")
    client = InferenceClient(model=f"{served.url}/models/features")
    np.testing.assert_allclose(client.feature_extraction("the cat"), reference("the cat"), atol=1e-5)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_tritonclient(served: Service, encoder: SentenceTransformer, protocol: str) -> None:
    module = {"grpc": tritonclient.grpc, "http": tritonclient.http}[protocol]
    port = {"grpc": served.grpc_port, "http": served.http_port}[protocol]
    client = module.InferenceServerClient(f"127.0.0.1:{port}")
    text = module.InferInput("text", [2, 1], "BYTES")
    text.set_data_from_numpy(np.array([["Hello"], ["there"]], dtype=object))
    result = client.infer("minilm", [text])  # parameters_json is optional
    embedding = result.as_numpy("embedding")
    assert embedding.dtype == np.float32
    assert embedding.shape == (2, 384)
    np.testing.assert_allclose(embedding, encoder.encode(["Hello", "there"]), atol=1e-5)
    client.close()


def test_tritonclient_gets_token_features_with_their_count(served: Service, models_dir: Path) -> None:
    reference = pipeline("feature-extraction", model=str(models_dir / "bert_base"), device="cpu")
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    text = tritonclient.grpc.InferInput("text", [2, 1], "BYTES")
    text.set_data_from_numpy(np.array([["the cat is good"], ["dog"]], dtype=object))
    result = client.infer("features", [text])
    states, count = result.as_numpy("last_hidden_state"), result.as_numpy("count")
    wanted = [np.array(reference(text))[0] for text in ("the cat is good", "dog")]
    assert count.tolist() == [[len(rows)] for rows in wanted]
    assert states.shape[:2] == (2, len(wanted[0]))
    for row, (length,), rows in zip(states, count, wanted, strict=True):
        np.testing.assert_allclose(row[:length], rows, atol=1e-5)
        assert not row[length:].any()
    client.close()

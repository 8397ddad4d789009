"""Vectors of texts are those of SentenceTransformer.encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.models.sentence import DENSE_SIZE, PROMPTS
from tests.models.text import SIZE, WINDOW

from hf_runtime import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Encoders

MODELS = {"sentence_mean": SIZE, "sentence_prompts": DENSE_SIZE}
TEXTS = ["today is a sunny day", "x", "", "Ünïcödé 猫!", "the old horse " * 15]
LONG = "the old horse saw a very large machine in the street. " * 20

each_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def originals(models_dir: Path) -> dict[str, SentenceTransformer]:
    return {name: SentenceTransformer(str(models_dir / name), device="cpu") for name in MODELS}


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@each_model
def test_vectors_are_the_librarys(name: str, encoders: Encoders, originals: dict[str, SentenceTransformer]) -> None:
    vectors = encoders.of_sentences(name).embed(TEXTS)
    assert vectors.shape == (len(TEXTS), MODELS[name])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, originals[name].encode(TEXTS), atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(vector, originals[name].encode(text), atol=1e-5)


@each_model
def test_other_texts_have_other_vectors(name: str, encoders: Encoders) -> None:
    red, old = unit(encoders.of_sentences(name).embed(["a red bird", "today is a sunny day"]))
    assert red @ old < 0.95  # or parity would show nothing


@each_model
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_is_put_before_each_text(
    name: str, prompt: str, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    vectors = encoders.of_sentences(name).embed(TEXTS, prompt_name=prompt)
    np.testing.assert_allclose(vectors, originals[name].encode(TEXTS, prompt_name=prompt), atol=1e-5)
    changed = np.abs(vectors - encoders.of_sentences(name).embed(TEXTS)).max() > 0.01
    assert changed == (name == "sentence_prompts")  # the other model's prompts are the library's own, and empty


def test_an_unknown_prompt_is_the_callers_mistake(encoders: Encoders) -> None:
    with pytest.raises(InvalidInput, match=r"unknown prompt_name 'nope'; this model has: query, document"):
        encoders.of_sentences("sentence_prompts").embed(["x"], prompt_name="nope")


@each_model
def test_normalize_makes_unit_length(name: str, encoders: Encoders, originals: dict[str, SentenceTransformer]) -> None:
    vectors = encoders.of_sentences(name).embed(TEXTS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors, originals[name].encode(TEXTS, normalize_embeddings=True), atol=1e-5)


@each_model
def test_normalize_false_keeps_the_length_even_where_the_model_normalizes(
    name: str, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    encoder = encoders.of_sentences(name)
    vectors = encoder.embed(TEXTS, normalize=False)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).min() > 0.01
    np.testing.assert_allclose(unit(vectors), unit(originals[name].encode(TEXTS)), atol=1e-5)
    np.testing.assert_allclose(encoder.embed(TEXTS), originals[name].encode(TEXTS), atol=1e-5)  # as before after it


def test_the_mean_of_the_tokens_is_what_is_not_normalized(encoders: Encoders) -> None:
    vectors = encoders.of_sentences("sentence_mean").embed(TEXTS, normalize=False)
    means = [states.mean(axis=0) for states in encoders.of_tokens("bert_base").states(TEXTS)]
    np.testing.assert_allclose(vectors, means, atol=1e-5)


def test_normalize_false_keeps_the_prompts(
    encoders: Encoders, originals: dict[str, SentenceTransformer], tmp_path: Path
) -> None:
    from hf_runtime.sentence_encoder import SentenceEncoder

    original = SentenceTransformer(
        modules=list(originals["sentence_mean"]), device="cpu", prompts=dict(PROMPTS), default_prompt_name="query"
    )
    original.save(str(tmp_path / "1/weights"), create_model_card=False)
    encoder = SentenceEncoder(encoders.settings(tmp_path))
    for prompt in (None, *PROMPTS):
        options = {"prompt_name": prompt} if prompt else {}
        expected = original.encode(TEXTS, prompt_name=prompt)
        np.testing.assert_allclose(encoder.embed(TEXTS, **options), expected, atol=1e-5)
        np.testing.assert_allclose(unit(encoder.embed(TEXTS, normalize=False, **options)), expected, atol=1e-5)


@each_model
@pytest.mark.parametrize("dimensions", [1, 5, DENSE_SIZE])
def test_dimensions_keep_the_first_numbers(
    name: str, dimensions: int, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    encoder = encoders.of_sentences(name)
    vectors = encoder.embed(TEXTS, dimensions=dimensions)
    np.testing.assert_allclose(vectors, originals[name].encode(TEXTS)[:, :dimensions], atol=1e-5)
    normalized = encoder.embed(TEXTS, dimensions=dimensions, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1, atol=1e-5)
    assert encoder.embed(TEXTS).shape == (len(TEXTS), MODELS[name])  # and the next caller gets all


@each_model
@pytest.mark.parametrize("wrong", [0, -1, 1000])
def test_dimensions_that_a_vector_does_not_have_are_the_callers_mistake(
    name: str, wrong: int, encoders: Encoders
) -> None:
    with pytest.raises(InvalidInput, match=f"dimensions must be between 1 and {MODELS[name]}, not {wrong}"):
        encoders.of_sentences(name).embed(["x"], dimensions=wrong)


@each_model
def test_a_text_beyond_the_window_is_cut_on_the_side_asked_for(
    name: str, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    encoder = encoders.of_sentences(name)
    words = " ".join(f"{word} day" for word in ("red", "old", "sad", "big", "warm") * 20).split()
    room = WINDOW - 2
    beginning, end = (" ".join(kept) for kept in (words[:room], words[-room:]))
    expected = originals[name].encode([beginning, end])
    text = [" ".join(words)]
    for _ in range(2):  # the side of one request is not the next one's
        np.testing.assert_allclose(encoder.embed(text)[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(encoder.embed(text, truncation_direction="left")[0], expected[1], atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.001


@each_model
def test_a_text_beyond_the_window_is_refused_where_it_must_not_be_cut(name: str, encoders: Encoders) -> None:
    encoder = encoders.of_sentences(name)
    with pytest.raises(InvalidInput, match=rf"a text has \d+ tokens, but this model takes {WINDOW}"):
        encoder.embed(["x", LONG], truncate=False)
    fits = " day" * (WINDOW - 2)
    assert len(encoder.embed([fits], truncate=False)) == 1
    with pytest.raises(InvalidInput, match=f"a text has {WINDOW + 1} tokens"):
        encoder.embed([fits + " day"], truncate=False)


def test_the_prompt_counts_where_a_text_must_not_be_cut(encoders: Encoders) -> None:
    encoder = encoders.of_sentences("sentence_prompts")
    fits = " day" * (WINDOW - 2)
    with pytest.raises(InvalidInput, match="tokens"):
        encoder.embed([fits], truncate=False, prompt_name="query")


@pytest.mark.parametrize("name", ["bert_base", "roberta_base", "gpt2_base"])
def test_a_plain_model_gives_the_mean_of_its_tokens(name: str, encoders: Encoders) -> None:
    texts = [text for text in TEXTS if text]
    vectors = encoders.of_sentences(name).embed(texts)
    means = [states.mean(axis=0) for states in encoders.of_tokens(name).states(texts)]
    np.testing.assert_allclose(vectors, means, atol=1e-5)


@pytest.mark.parametrize("name", ["bert_base", "roberta_base", "gpt2_base"])
def test_a_plain_model_takes_a_text_beyond_its_window(name: str, encoders: Encoders) -> None:
    (vector,) = encoders.of_sentences(name).embed([LONG])
    np.testing.assert_allclose(vector, encoders.of_tokens(name).states([LONG])[0].mean(axis=0), atol=1e-5)
    with pytest.raises(InvalidInput, match=f"this model takes {WINDOW}"):
        encoders.of_sentences(name).embed([LONG], truncate=False)


@each_model
def test_similarity_is_the_librarys_cosine(
    name: str, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    encoder = encoders.of_sentences(name)
    source, *others = encoder.embed(TEXTS, normalize=False)
    similarities = encoder.similarity(source, others)
    assert similarities.dtype == np.float32
    vectors = originals[name].encode(TEXTS)
    np.testing.assert_allclose(similarities, originals[name].similarity(vectors[:1], vectors[1:])[0], atol=1e-5)


def test_nothing_to_compare_with_and_a_vector_of_zeros(encoders: Encoders) -> None:
    encoder = encoders.of_sentences("sentence_mean")
    (source,) = encoder.embed(["x"])
    assert encoder.similarity(source, []).shape == (0,)
    assert encoder.similarity(source, [np.zeros_like(source), source]).tolist() == pytest.approx([0, 1], abs=1e-6)


@each_model
@pytest.mark.parametrize("prompt", [None, *PROMPTS])
def test_tokens_are_counted_as_they_are_read(
    name: str, prompt: str | None, encoders: Encoders, originals: dict[str, SentenceTransformer]
) -> None:
    encoder, original = encoders.of_sentences(name), originals[name]
    put_before = original.prompts[prompt or original.default_prompt_name or ""] if prompt else ""
    texts = [*TEXTS, LONG]
    read = [int(original.tokenize([put_before + text])["attention_mask"].sum()) for text in texts]
    options = {} if prompt is None else {"prompt_name": prompt}
    assert encoder.embed_counted(texts, **options)[1] == read  # type: ignore[arg-type]
    assert max(read) == WINDOW

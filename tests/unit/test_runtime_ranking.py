"""Generated models that rank: every score is that of sentence-transformers' CrossEncoder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tests.asked import Asked
from tests.models.text import WINDOW
from triton_python_backend_utils import InferenceRequest

MODELS = ["bert_cross_encoder", "bert_raw_cross_encoder", "roberta_cross_encoder"]
LONG = "the old horse saw a very large machine in the street " * 12
TEXTS = [
    "today is a sunny day",
    "x",
    "Zoe\u0308 🙂 loves paris",
    LONG,
    "",
    "a red bird",
    "a blue bird in the cold winter",
]
QUERY = "where is the bird?"

Ask = Callable[[str], Asked]


@pytest.fixture(scope="module")
def ask(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Ask:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda name: Asked("sentence-ranking", tiny(name), output))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Callable[[str], CrossEncoder]:
    # RoBERTa's tokenizer names no window, and the library then asks for two positions too many.
    return functools.cache(lambda name: CrossEncoder(str(tiny(name)), device="cpu", max_length=WINDOW))


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_the_librarys(ask: Ask, reference: Callable[[str], CrossEncoder], model: str) -> None:
    pairs = [[QUERY, text] for text in TEXTS] + [[text, "a bird"] for text in TEXTS]
    wanted = [float(reference(model).predict(pair)) for pair in pairs]  # each by itself
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose(ask(model)(pairs)["scores"], wanted, atol=1e-5)
    for pair, score in zip(pairs, wanted, strict=True):
        assert ask(model)(pair)["scores"] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_raw_scores_come_before_the_activation(ask: Ask, reference: Callable[[str], CrossEncoder], model: str) -> None:
    pairs = [[QUERY, text] for text in TEXTS]
    wanted = reference(model).predict(pairs, activation_fn=torch.nn.Identity())
    found = ask(model)(pairs, raw_scores=True)["scores"]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert (found == ask(model)(pairs)["scores"]) == (model == "bert_raw_cross_encoder")


@pytest.mark.parametrize("model", MODELS)
def test_ranks_are_the_librarys(ask: Ask, reference: Callable[[str], CrossEncoder], model: str) -> None:
    wanted = reference(model).rank(QUERY, TEXTS, return_documents=True)
    found = ask(model)({"query": QUERY, "texts": TEXTS}, return_documents=True)
    assert [rank["index"] for rank in found] == [rank["corpus_id"] for rank in wanted]
    assert [rank["text"] for rank in found] == [rank["text"] for rank in wanted]
    np.testing.assert_allclose([rank["score"] for rank in found], [rank["score"] for rank in wanted], atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_queries_with_other_numbers_of_texts_share_a_batch(ask: Ask, model: str) -> None:
    served = ask(model)
    queries = [{"query": text, "texts": TEXTS[: 1 + index]} for index, text in enumerate(TEXTS)]
    requests = [request for query in queries for request in served.requests(served.call(query))]
    for query, response in zip(queries, served.model.execute(requests), strict=True):
        (scores,) = response.arrays["score"]
        alone = {rank["index"]: rank["score"] for rank in served(query)}
        np.testing.assert_allclose(scores, [alone[index] for index in range(len(scores))], atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_pairs_of_all_rows_go_through_the_model_in_bounded_batches(
    ask: Ask, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = ask(model)
    sizes: list[int] = []
    classifier = served.model.scorer._model
    run = classifier.engine.run
    monkeypatch.setattr(classifier.engine, "run", lambda inputs: sizes.append(len(inputs["input_ids"])) or run(inputs))
    requests = [
        request for _ in range(2) for request in served.requests(served.call({"query": "q", "texts": TEXTS * 3}))
    ]
    served.model.execute(requests)
    size = served.model.settings.sub_batch_size
    assert sum(sizes) == 2 * 3 * len(TEXTS)
    assert max(sizes) <= size
    assert len(sizes) < len(TEXTS)


@pytest.mark.parametrize("model", MODELS)
def test_a_long_pair_is_cut_or_refused(ask: Ask, model: str) -> None:
    assert f"tokens, but this model takes {WINDOW}; shorten them" in ask(model).refusal([QUERY, LONG], truncate=False)
    assert ask(model)([QUERY, "bird"], truncate=False) == ask(model)([QUERY, "bird"])


def test_no_texts_have_no_scores(ask: Ask) -> None:
    served = ask("bert_cross_encoder")
    inputs = {"query": np.array([[b"q"]], dtype=np.object_), "texts": np.empty((1, 0), dtype=np.object_)}
    (response,) = served.model.execute([InferenceRequest(inputs, ("score",))])
    assert response.arrays["score"].shape == (1, 0)


def test_a_model_with_several_scores_is_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match=r"has 3; generate it with --task text-classification"):
        ask("bert_nli_cross_encoder")


def test_the_example_is_answered(ask: Ask) -> None:
    served = ask("bert_cross_encoder")
    answer: Any = served(served.spec.example["inputs"])
    assert 0 <= answer["scores"] <= 1

"""How tokens become entities, against transformers' pipeline given the same logits."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import transformers
from transformers.pipelines.token_classification import AggregationStrategy

from hf_runtime import entity, ranked
from hf_runtime.entity_token import EntityTokens

TEXTS = [
    "the old horse saw a machine, in Paris.  By night\n",
    " 🙂 cafe\u0301 Zürich 漢字 don't",
    "[UNK] <unk> x",
    "  ",
    "",
]
WORDS = [["New York", "", "is", "🙂", "x-y"], ["a"], [""]]
LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "I-X-LOC", 4: "X-LOC", 5: "LOC"}


@pytest.fixture(params=["bert_entities", "xlm_roberta_entities", "deberta_entities", "roberta_base"])
def pipe(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Any:
    made = transformers.pipeline("token-classification", model=str(tiny(request.param)), device="cpu")
    made.model.config.id2label = LABELS  # the logits are not the model's
    made.tokenizer.model_max_length = 9
    return made


def outputs(pipe: Any, text: str | list[str], stride: int | None) -> list[dict[str, Any]]:
    """A text as the pipeline has it between model and answer, with logits that have few values and many ties."""
    cut: dict[str, Any] = (
        {} if stride is None else {"return_overflowing_tokens": True, "stride": stride, "padding": True}
    )
    prepared = {"is_split_into_words": isinstance(text, list), "delimiter": "--", "tokenizer_params": cut}
    found = []
    numbers = np.random.default_rng(len(text))
    for window in pipe.preprocess(text, **prepared):
        logits = numbers.integers(0, 4, (1, window["input_ids"].shape[1], len(LABELS))).astype(np.float32)
        logits[:, :, 0] += 1
        found.append({"word_ids": None, "word_to_chars_map": None, **window, "logits": torch.from_numpy(logits)})
    return found


def made(pipe: Any, windows: list[dict[str, Any]], strategy: Any, ignored: list[str]) -> list[dict[str, Any]]:
    tokens = EntityTokens(pipe.tokenizer)
    found = []
    for window in windows:
        columns = {name: window[name][0].tolist() for name in ("input_ids", "special_tokens_mask", "offset_mapping")}
        text, places = windows[0]["sentence"], windows[0]["word_to_chars_map"]
        own = tokens.of({**columns, "word_ids": window["word_ids"]}, window["logits"][0].numpy(), text, places)
        every = entity.entities(own, strategy, LABELS, pipe.tokenizer.convert_tokens_to_string)
        found.append([one for one in every if one.label not in ignored])
    kind = "entity" if strategy == "none" else "entity_group"
    return [
        {kind: one.label, "score": one.score, "word": one.word, "place": one.place}
        | ({} if one.index is None else {"index": one.index})
        for one in entity.without_overlaps(found)
    ]


@pytest.mark.parametrize("strategy", get_args(entity.Strategy))
@pytest.mark.parametrize("ignored", [["O"], [], ["PER", "LOC", "B-PER"]])
def test_entities_are_those_of_the_pipeline(pipe: Any, strategy: str, ignored: list[str]) -> None:
    several = 0
    for text in (*TEXTS, *WORDS):
        for stride in (None,) if strategy == "none" else (None, 0, 3):
            windows = outputs(pipe, text, stride)
            several += len(windows) > 1
            mine = made(pipe, windows, strategy, ignored)  # first: postprocess writes into what it is given
            wanted = pipe.postprocess(windows, AggregationStrategy(strategy), ignored)
            expected = [
                {"place": (one.pop("start"), one.pop("end")), **one}
                for one in json.loads(json.dumps(wanted, default=float))
            ]
            for found, own in zip(mine, expected, strict=True):
                assert found == {**own, "score": pytest.approx(own["score"], abs=1e-6)}
    assert several or strategy == "none"


def test_the_best_are_the_first_of_equal_ones() -> None:
    choose = random.Random(0)
    for size in (1, 2, 7, 50):
        scores = np.array([choose.randint(0, 5) for _ in range(size)], dtype=np.float32)
        order = sorted(range(size), key=lambda index: (-scores[index], index))
        for count in range(1, size + 1):
            assert ranked.best(scores, count).tolist() == order[:count]
    assert len(ranked.best(np.full(5, np.nan, dtype=np.float32), 3)) == 3

"""Generating for rows of one batch as for each of them alone, by `model.generate` on the same weights."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.causal import PROMPT
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.logits_process import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from hf_runtime import InvalidInput, waiting
from hf_runtime.continuation import Continuation, Reader, answers
from hf_runtime.decoding import FrequencyPenalty, RowSampler, StopTexts, Unpadded
from hf_runtime.generation import RANGES, SAMPLING, GenerateOptions, checked, generate
from hf_runtime.waiting import NobodyWaits

TEXTS = [PROMPT, "the sun is warm and the river is very long and people walk to the sea", "a"]
NEW = 10
ONE = Continuation("x", "length", [8], {"seed": 4})


class Loaded:
    """A model and its tokenizer, padding on the left."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token

    def inputs(self, texts: list[str]) -> dict[str, torch.Tensor]:
        return dict(self.tokenizer(texts, return_tensors="pt", padding=True))

    def new(self, texts: list[str], **options: Any) -> list[list[int]]:
        inputs = self.inputs(texts)
        asked: Any = {"max_new_tokens": NEW, **options}
        return generate(self.model, self.tokenizer, inputs, asked)[:, inputs["input_ids"].shape[1] :].tolist()

    def alone(self, text: str, **options: Any) -> list[int]:
        inputs = self.inputs([text])
        ids = self.model.generate(**inputs, max_new_tokens=NEW, pad_token_id=self.tokenizer.pad_token_id, **options)
        return ids[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.fixture(scope="module")
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    return Loaded(tiny("gpt2_text"))


def test_a_generation_that_nobody_waits_for_ends(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 0.1)  # a token takes 0.1 s
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(clock))
    for options in ({}, {"do_sample": True, "seed": 1}, {"num_beams": 2}):
        looks = iter([False, True])
        with waiting.WAITING.of([lambda looks=looks: next(looks)]), pytest.raises(NobodyWaits):
            loaded.new(TEXTS[:1], min_new_tokens=30, max_new_tokens=30, **options)
        assert next(looks, None) is None
    with waiting.WAITING.of([lambda: True, lambda: False]):  # another one waits
        assert loaded.new(TEXTS[:1], do_sample=False) == [loaded.alone(TEXTS[0], do_sample=False)]


@pytest.fixture(scope="module")
def chatty(tiny: Callable[[str], Path]) -> Loaded:
    return Loaded(tiny("qwen2_chat"))


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 50.0},
        {"encoder_repetition_penalty": 50.0},
        {"no_repeat_ngram_size": 1},
        {"encoder_no_repeat_ngram_size": 1},
        {"repetition_penalty": 50.0, "num_beams": 3},
    ],
    ids=str,
)
def test_padding_is_no_token_that_was_used_before(loaded: Loaded, options: dict[str, Any]) -> None:
    expected = [loaded.alone(text, do_sample=False, **options) for text in TEXTS]
    # The worst padding: a token that the row with the most of it takes, or takes where it is made likelier.
    likely = loaded.model(**loaded.inputs(TEXTS[2:])).logits[0, -1].topk(2).indices[1].item()
    padding = likely if "encoder_repetition_penalty" in options else expected[2][0]
    inputs = loaded.inputs(TEXTS)
    inputs["input_ids"] = inputs["input_ids"].where(inputs["attention_mask"].bool(), padding)
    asked: Any = {"max_new_tokens": NEW, "do_sample": False, **options}
    ids = generate(loaded.model, loaded.tokenizer, inputs, asked)[:, inputs["input_ids"].shape[1] :]
    assert ids.tolist() == expected
    theirs = loaded.model.generate(**inputs, pad_token_id=0, **asked)[:, inputs["input_ids"].shape[1] :]
    if "repetition_penalty" not in options:  # which 5.23 looks after itself
        assert theirs.tolist() != expected, "transformers does this itself now"


@pytest.mark.parametrize("options", [{}, {"top_p": 0.5}, {"top_k": 5, "temperature": 1.5}, {"num_beams": 2}], ids=str)
def test_a_seed_draws_as_torch_does_for_one_row(loaded: Loaded, options: dict[str, Any]) -> None:
    expected = []
    for text in TEXTS:
        torch.manual_seed(11)
        expected.append(loaded.alone(text, do_sample=True, **options))
    assert loaded.new(TEXTS, do_sample=True, seed=11, **options) == expected
    assert loaded.new(TEXTS[::-1], do_sample=True, seed=11, **options) == expected[::-1]


def test_the_models_own_defaults_hold(chatty: Loaded) -> None:
    torch.manual_seed(11)
    expected = chatty.alone(PROMPT)
    assert chatty.new([PROMPT], seed=11) == [expected]
    assert chatty.new([PROMPT], seed=11, temperature=3.0) != [expected]
    assert chatty.new([PROMPT], do_sample=False) == [chatty.alone(PROMPT, do_sample=False)]


def test_texts_of_a_row_have_seeds_of_their_own(loaded: Loaded) -> None:
    found = loaded.new(TEXTS, do_sample=True, seed=11, num_return_sequences=3)
    for copy in range(3):
        assert found[copy::3] == loaded.new(TEXTS, do_sample=True, seed=11 + copy)


def test_without_a_seed_draws_differ(loaded: Loaded) -> None:
    assert loaded.new([PROMPT], do_sample=True) != loaded.new([PROMPT], do_sample=True)


def test_a_sampler_leaves_one_token_possible() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0]]).repeat(2, 1)
    drawn = RowSampler([1, 1], "cpu")(torch.zeros(2, 1), scores)
    assert drawn.isfinite().sum(dim=1).tolist() == [1, 1]
    assert drawn[0].equal(drawn[1])


def test_processors_see_a_rows_own_tokens() -> None:
    ids = torch.tensor([[0, 0, 1], [0, 2, 1]])
    penalty = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(2.0)])
    scores = Unpadded([penalty, penalty], [2, 0])(ids, torch.full((2, 3), 8.0))
    assert scores.tolist() == [[8, 4, 8], [4, 4, 4]]
    beams = Unpadded([penalty], [2])(ids[:1].repeat(2, 1), torch.full((2, 3), 8.0))
    assert beams.tolist() == [[8, 4, 8]] * 2


def test_frequency_counts_what_was_generated() -> None:
    ids = torch.tensor([[0, 0, 2, 1, 2], [0, 0, 1, 1, 1]])
    assert FrequencyPenalty(0.5, prompt=2)(ids, torch.zeros(2, 3)).tolist() == [[0, -0.5, -1.0], [0, -1.5, 0]]


def test_a_stop_text_is_looked_for_in_new_text_only(loaded: Loaded) -> None:
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"] for text in ("the sun", "the sea")])
    whole, late = (StopTexts(loaded.tokenizer, [" sun", "zzz"], prompt) for prompt in (0, ids.shape[1]))
    assert whole(ids, None).tolist() == [True, False]
    assert late(ids, None).tolist() == [False, False]


@pytest.mark.parametrize("name", sorted(RANGES))
def test_values_beyond_their_range_are_refused(name: str) -> None:
    low, high = RANGES[name]
    for value in [low - 1, high + 1, float("nan")]:
        if value != float("inf"):
            with pytest.raises(InvalidInput, match=f"'{name}' must be"):
                checked({name: value})  # type: ignore[misc]
    assert checked({name: low}) == {name: low}  # type: ignore[misc]


def test_whole_numbers_become_floats_where_transformers_wants_them() -> None:
    options: GenerateOptions = {"temperature": 2, "max_new_tokens": 2}
    assert [type(value) for value in checked(options).values()] == [float, int]
    assert set(GenerateOptions.__annotations__) >= SAMPLING


@pytest.mark.parametrize(("options", "words"), [({"top_p": 2.0}, "top_p"), ({"min_p": 7.0}, "min_p")])
@pytest.mark.parametrize("beams", [1, 2])
def test_what_transformers_refuses_is_the_callers_fault(
    loaded: Loaded, options: dict[str, Any], words: str, beams: int
) -> None:
    with pytest.raises(InvalidInput, match=words):
        loaded.new([PROMPT], do_sample=True, num_beams=beams, **options)


def test_more_texts_than_are_followed_are_refused(loaded: Loaded) -> None:
    with pytest.raises(InvalidInput, match="num_return_sequences 3 needs do_sample true"):
        loaded.new([PROMPT], do_sample=False, num_beams=2, num_return_sequences=3)


# ---- what was generated, read


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("the sun", [], ("the sun", "length")),
        ("the sun<|endoftext|>", [], ("the sun", "eos_token")),
        ("the sun<|endoftext|><|endoftext|>", [], ("the sun", "eos_token")),
        ("the sun is<|endoftext|>", ["sun"], ("the sun", "stop_sequence")),
        ("the sun<|endoftext|>", ["sea"], ("the sun", "eos_token")),
        ("<|endoftext|>", ["sea"], ("", "eos_token")),
        ("the sun<|endoftext|>", ["endoftext|>"], ("the sun", "stop_sequence")),
    ],
)
def test_a_row_is_read_to_its_own_end(loaded: Loaded, text: str, stop: list[str], expected: tuple[str, str]) -> None:
    ids = loaded.tokenizer(text)["input_ids"]
    found = Reader(loaded.tokenizer, {loaded.tokenizer.eos_token_id}, stop, skip_special_tokens=True).read(ids)
    assert (found.text, found.finish_reason) == expected
    told = loaded.tokenizer.decode(found.ids, skip_special_tokens=True)
    assert told == found.text
    assert found.ids == ids[: len(found.ids)]
    ended = found.finish_reason == "eos_token" or "endoftext|>" in stop
    assert len(found.ids) == len(loaded.tokenizer(found.text)["input_ids"]) + ended


def test_continuations_are_outputs_row_by_row() -> None:
    one, other = Continuation("a", "length", [5]), Continuation("é", "eos_token", [6, 7], {"seed": 3}, (ONE,))
    told = {"generated_text": "x", "finish_reason": "length", "generated_tokens": 1, "seed": 4}
    outputs = answers([[one, other], [replace(one, prompt_tokens=3)]], "texts")
    assert [json.loads(more) for more in outputs[0].pop("details_json")] == [
        {},
        {"seed": 3, "best_of_sequences": [told]},
    ]
    assert outputs == [
        {"texts": ["a", "é"], "finish_reason": ["length", "eos_token"], "generated_tokens": [1, 2], "prompt_tokens": 0},
        {
            "texts": ["a"],
            "finish_reason": ["length"],
            "generated_tokens": [1],
            "prompt_tokens": 3,
            "details_json": ["{}"],
        },
    ]


def test_a_prompt_goes_before_all_texts_that_were_drawn() -> None:
    found = Continuation("a", "length", [5], {"seed": 3}, (ONE,)).behind("the ")
    assert (found.text, found.others[0].text) == ("the a", "the x")
    assert (found.ids, found.details, found.others[0].details) == ([5], {"seed": 3}, {"seed": 4})

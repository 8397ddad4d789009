"""Details of generated texts: every token's log-probability, by transformers' own bookkeeping on the same weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.asked import Asked
from tests.models.causal import PROMPT
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from hf_runtime import token_scores
from hf_runtime.token_texts import after, texts

PROMPTS = [
    PROMPT,
    "a",
    "the sun is warm and the river is long and the people in the street walk to the sea. the",
    "x 🙂",
]
CAUSAL = ["gpt2_text", "llama_ends", "qwen2_chat"]
REWRITERS = [
    ("summarization", "bart_summary", {}),
    ("text2text-generation", "flan_t5", {}),
    ("translation", "marian", {}),
    ("translation", "mbart", {"src_lang": "en_XX", "tgt_lang": "fr_XX"}),
    ("translation", "m2m100", {"src_lang": "en", "tgt_lang": "fr"}),
]
NEW = 8
Get = Callable[..., Any]


class Reference:
    """A model by itself, one text at a time."""

    def __init__(self, folder: Path, auto_class: Any) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = auto_class.from_pretrained(folder).eval()

    def encoded(self, text: str, source: str | None = None) -> Any:
        if source is not None:
            self.tokenizer.src_lang = source
        return self.tokenizer(text, return_tensors="pt")

    @torch.inference_mode()
    def generated(self, encoded: Any, **options: Any) -> list[list[tuple[int, float]]]:
        """The new tokens of each sequence with the logarithms of their probabilities before any processing."""
        pad = self.tokenizer.eos_token_id if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        out = self.model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            pad_token_id=pad,
            max_new_tokens=NEW,
            output_logits=True,
            return_dict_in_generate=True,
            **{key: float(value) if key == "temperature" else value for key, value in options.items()},
        )
        beams = getattr(out, "beam_indices", None)
        scores = self.model.compute_transition_scores(out.sequences, out.logits, beams, normalize_logits=True)
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        rows = []
        for ids, logprobs in zip(out.sequences[:, -scores.shape[1] :].tolist(), scores.tolist(), strict=True):
            size = next((place + 1 for place, token in enumerate(ids) if token in ends), len(ids))
            rows.append(list(zip(ids[:size], logprobs[:size], strict=True)))
        return rows


@pytest.fixture(scope="module")
def asked(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Get:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda name, task="text-generation": Asked(task, tiny(name), output))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Get:
    return functools.cache(lambda name, auto_class=AutoModelForCausalLM: Reference(tiny(name), auto_class))


def told(entry: Any) -> list[tuple[int, float]]:
    return [(token["id"], token["logprob"]) for token in entry["details"]["tokens"]]


def assert_same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [token for token, _ in found] == [token for token, _ in expected]
    np.testing.assert_allclose([value for _, value in found], [value for _, value in expected], atol=1e-4)


GREEDY = {"do_sample": False}
DRAWN = {"do_sample": True, "temperature": 1.7}


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize(
    "options",
    [
        GREEDY,
        {**GREEDY, "min_new_tokens": NEW},
        {**GREEDY, "repetition_penalty": 1.9},
        {**GREEDY, "num_beams": 3},
        {**GREEDY, "num_beams": 3, "num_return_sequences": 2, "length_penalty": -1.0},
        DRAWN,
        {**DRAWN, "top_k": 3},
        {**DRAWN, "num_beams": 2, "num_return_sequences": 2},
    ],
    ids=",".join,
)
def test_tokens_have_the_models_own_log_probabilities(
    asked: Get, reference: Get, name: str, options: dict[str, Any]
) -> None:
    """Also where a temperature or a penalty had its say in the choice, for several sequences, and beside neighbours."""
    ref = reference(name)
    together = asked(name)(PROMPTS, details=True, seed=5, max_new_tokens=NEW, **options)
    for prompt, row in zip(PROMPTS, together, strict=True):
        torch.manual_seed(5)
        expected = ref.generated(ref.encoded(prompt), **options)
        assert len(row) == len(expected) == options.get("num_return_sequences", 1)
        for entry, tokens in zip(row, expected, strict=True):
            assert_same(told(entry), tokens)
            assert entry["details"]["generated_tokens"] == len(tokens)
            assert entry["details"]["prefill"] == []
        alone = asked(name)(prompt, details=True, seed=5, max_new_tokens=NEW, **options)
        assert [entry["generated_text"] for entry in alone] == [entry["generated_text"] for entry in row]
        for one, other in zip(alone, row, strict=True):
            assert_same(told(one), told(other))


@pytest.mark.parametrize(("task", "name", "languages"), REWRITERS, ids=str)
@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3, "num_return_sequences": 2}], ids=str)
def test_tokens_of_encoder_decoder_models(
    asked: Get, reference: Get, task: str, name: str, languages: dict[str, str], options: dict[str, Any]
) -> None:
    ref = reference(name, AutoModelForSeq2SeqLM)
    forced = {}
    if languages:
        own = getattr(ref.tokenizer, "lang_code_to_id", None) or {}
        code = languages["tgt_lang"]
        forced["forced_bos_token_id"] = own.get(code) or ref.tokenizer.convert_tokens_to_ids(code)
    inputs = [PROMPTS[0], PROMPTS[2], "a"]
    more = {"details": True, "decoder_input_details": True, "max_new_tokens": NEW, **languages, **options}
    found = asked(name, task)(inputs, **more)
    start = ref.model.generation_config.decoder_start_token_id
    for text, entries in zip(inputs, found, strict=True):
        row = entries if isinstance(entries, list) else [entries]
        expected = ref.generated(ref.encoded(text, languages.get("src_lang")), do_sample=False, **options, **forced)
        assert len(row) == len(expected)
        for entry, tokens in zip(row, expected, strict=True):
            assert_same(told(entry), tokens)
            ended = tokens[-1][0] == ref.tokenizer.eos_token_id
            assert entry["details"]["finish_reason"] == ("eos_token" if ended else "length")
            assert entry["details"]["generated_tokens"] == len(tokens)
            (first,) = entry["details"]["prefill"]
            assert (first["id"], first["logprob"]) == (start, None)


@pytest.mark.parametrize("name", CAUSAL)
def test_the_prompts_tokens(asked: Get, reference: Get, name: str) -> None:
    ref = reference(name)
    more = {"details": True, "decoder_input_details": True, "do_sample": False, "max_new_tokens": 3}
    for prompt, (entry,) in zip(PROMPTS, asked(name)(PROMPTS, **more), strict=True):
        encoded = ref.encoded(prompt)
        ids = encoded["input_ids"][0].tolist()
        with torch.inference_mode():
            logprobs = ref.model(**encoded).logits[0].log_softmax(dim=-1)
        first, *rest = entry["details"]["prefill"]
        assert (first["id"], first["logprob"]) == (ids[0], None)
        expected = [(token, logprobs[place, token].item()) for place, token in enumerate(ids[1:])]
        assert_same([(token["id"], token["logprob"]) for token in rest], expected)
        assert "".join(token["text"] for token in (first, *rest)) == ref.tokenizer.decode(ids)
        (same,) = asked(name)(prompt, details=True, do_sample=False, max_new_tokens=3)
        assert_same(told(same), told(entry))


@pytest.mark.parametrize("name", CAUSAL)
def test_the_likeliest_tokens_in_each_place(asked: Get, reference: Get, name: str) -> None:
    ref = reference(name)
    (entry,) = asked(name)(PROMPT, details=True, top_n_tokens=4, max_new_tokens=NEW, seed=1, **DRAWN)
    ids = ref.tokenizer(PROMPT)["input_ids"]
    assert len(entry["details"]["top_tokens"]) == len(entry["details"]["tokens"])
    for token, top in zip(entry["details"]["tokens"], entry["details"]["top_tokens"], strict=True):
        with torch.inference_mode():
            values, places = ref.model(torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1).topk(4)
        assert_same(
            [(one["id"], one["logprob"]) for one in top], list(zip(places.tolist(), values.tolist(), strict=True))
        )
        for one in top:
            if one["id"] == token["id"] and token["text"] and "\ufffd" not in one["text"]:
                assert one == token | {"logprob": one["logprob"]}
        ids.append(token["id"])
    (none,) = asked(name)(PROMPT, details=True, top_n_tokens=0, max_new_tokens=2, do_sample=False)
    assert "top_tokens" not in none["details"]


def test_the_tokens_end_where_the_text_does(asked: Get, reference: Get) -> None:
    model, ref = asked("gpt2_text"), reference("gpt2_text")
    given = {"details": True, "do_sample": False, "return_full_text": False}
    rows = model(PROMPTS, max_new_tokens=NEW, **given)
    stop = rows[0][0]["generated_text"][4:6]
    cut = model(PROMPTS, max_new_tokens=NEW, stop=[stop], **given)
    assert cut[0][0]["details"]["finish_reason"] == "stop_sequence"
    assert len(told(cut[0][0])) < NEW
    for (whole,), (part,) in zip(rows, cut, strict=True):
        assert_same(told(part), told(whole)[: len(told(part))])
        assert ref.tokenizer.decode([token for token, _ in told(part)]) == part["generated_text"]
    (ended,) = asked("llama_ends")(PROMPT, **given, max_new_tokens=12)
    assert ended["details"]["finish_reason"] == "eos_token"
    (chat,) = asked("qwen2_chat", "conversational")([{"role": "user", "content": "a"}], max_new_tokens=3, **given)
    assert len(told(chat)) == 3


@pytest.mark.parametrize("name", ["gpt2_text", "llama_ends"])
def test_the_texts_of_tokens_are_the_text(reference: Get, name: str) -> None:
    tokenizer = reference(name).tokenizer
    for text in [*PROMPTS, "é🙂 the\n old  man", "🙂🙂"]:
        ids = tokenizer(text)["input_ids"]
        for begin in range(1, len(ids)):
            whole, before = tokenizer.decode(ids), tokenizer.decode(ids[:begin]).rstrip("\ufffd")
            assert "".join(texts(tokenizer, ids, begin)) == whole.removeprefix(before)
        assert "".join(texts(tokenizer, ids, 0)) == tokenizer.decode(ids)
    assert texts(tokenizer, [], 0) == []


def test_letters_of_several_tokens_are_the_last_ones_text(reference: Get) -> None:
    tokenizer = reference("gpt2_text").tokenizer
    ids = tokenizer("🙂a")["input_ids"]
    found = texts(tokenizer, ids, 0)
    assert len(found) > 2
    assert found[-2:] == ["🙂", "a"]
    assert not any(found[:-2])
    assert texts(tokenizer, ids[:2], 0) == ["", "\ufffd"]
    assert after(tokenizer, ids[:-2], ids[-2]) == "🙂"


def test_special_tokens_are_marked_and_shown(asked: Get, reference: Get) -> None:
    (entry,) = asked("llama_ends")(PROMPT, details=True, decoder_input_details=True, do_sample=False, max_new_tokens=1)
    first = entry["details"]["prefill"][0]
    assert first == {"id": 1, "text": "<s>", "logprob": None}
    ref = reference("flan_t5", AutoModelForSeq2SeqLM)
    found = asked("flan_t5", "text2text-generation")(PROMPTS, details=True, num_beams=1, max_new_tokens=12)
    tokens = [token for entry in found for token in entry["details"]["tokens"]]
    assert {token["special"] for token in tokens} == {token["id"] in ref.tokenizer.all_special_ids for token in tokens}


def test_nothing_is_computed_that_nobody_asks_for(asked: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    for module in ("details", "token_scores", "causality"):
        assert any(name.endswith(f".hf_runtime.{module}") for name in __import__("sys").modules)
    for name, task in (("gpt2_text", "text-generation"), ("flan_t5", "text2text-generation")):
        model = asked(name, task)
        monkeypatch.setattr(model.model.model, "forward", fail)
        assert model(PROMPT, top_n_tokens=3, decoder_input_details=True, max_new_tokens=2)
        with pytest.raises(Exception, match="AssertionError"):
            model(PROMPT, details=True, max_new_tokens=2)


def test_few_distributions_are_held_at_once(asked: Get, reference: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    model = asked("gpt2_text").model.model
    ids = [reference("gpt2_text").tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    begins = [len(row) // 2 or 1 for row in ids]
    ids = [[*row, 5] for row in ids]
    whole = token_scores.scores(model, ids, begins, 2)
    monkeypatch.setattr(token_scores, "POSITIONS", 1)
    sizes: list[int] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda given: sizes.append(len(given["input_ids"])) or forward(given))
    for one, other, row, begin in zip(whole, token_scores.scores(model, ids, begins, 2), ids, begins, strict=True):
        np.testing.assert_allclose(one.chosen, other.chosen, atol=1e-4)
        assert len(one.chosen) == len(one.top) == len(row) - begin
    assert sizes == [1] * len(PROMPTS)


@pytest.mark.parametrize("value", [21, 10**6])
def test_more_likeliest_tokens_than_are_told(asked: Get, value: int) -> None:
    for name, task in (("gpt2_text", "text-generation"), ("flan_t5", "text2text-generation")):
        assert "'top_n_tokens' must be between 0 and 20" in asked(name, task).refusal(PROMPT, top_n_tokens=value)


# ---- the best of several


@pytest.mark.parametrize("name", ["gpt2_text", "qwen2_chat"])
def test_the_best_of_several_has_the_likeliest_tokens(asked: Get, name: str) -> None:
    model, given = asked(name), {"max_new_tokens": NEW, **DRAWN}
    together = model(PROMPTS, best_of=4, seed=9, details=True, **given)
    for prompt, (entry,) in zip(PROMPTS, together, strict=True):
        drawn = [model(prompt, seed=9 + place, details=True, **given)[0] for place in range(4)]
        means = [float(np.mean([value for _, value in told(one)])) for one in drawn]
        assert len(set(means)) == 4
        order = np.argsort(means)[::-1]
        assert entry["generated_text"] == drawn[order[0]]["generated_text"]
        assert entry["details"]["seed"] == 9 + order[0]
        assert_same(told(entry), told(drawn[order[0]]))
        others = entry["details"]["best_of_sequences"]
        assert [other["seed"] for other in others] == [9 + place for place in order[1:]]
        for other, place in zip(others, order[1:], strict=True):
            assert other["generated_text"] == drawn[place]["generated_text"]
            assert other["generated_tokens"] == len(other["tokens"])
        assert model(prompt, best_of=4, seed=9, **given) == [{"generated_text": entry["generated_text"]}]


def test_the_best_of_one_is_it(asked: Get) -> None:
    given = {"max_new_tokens": NEW, "do_sample": False}
    assert asked("gpt2_text")(PROMPTS, best_of=1, **given) == asked("gpt2_text")(PROMPTS, **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"best_of": 17}, "'best_of' must be between 1 and 16, not 17"),
        ({"do_sample": False}, "send do_sample true"),
        ({"num_return_sequences": 2}, "best_of and num_return_sequences do not go together"),
        ({"num_beams": 2}, "best_of and num_beams do not go together"),
    ],
)
def test_what_does_not_go_with_best_of(asked: Get, options: dict[str, Any], words: str) -> None:
    assert words in asked("gpt2_text").refusal(PROMPT, **{"best_of": 3, **options})


# ---- models that are not as causal models are


@pytest.mark.parametrize("name", ["rwkv_text", "xlm_text"])
def test_models_that_neighbours_would_disturb_have_none(asked: Get, reference: Get, name: str) -> None:
    model, ref = asked(name), reference(name)
    assert not model.model.model.takes_company
    prompts = [*PROMPTS, "b"]
    found = model(prompts, do_sample=False, max_new_tokens=NEW, return_full_text=False)
    for prompt, (entry,) in zip(prompts, found, strict=True):
        (expected,) = ref.generated(ref.encoded(prompt), do_sample=False)
        ids = [token for token, _ in expected]
        assert entry["generated_text"] == ref.tokenizer.decode(ids, skip_special_tokens=True)
    for options in ({"num_beams": 2}, {"num_return_sequences": 2}):
        assert "one text at a time only" in model.refusal("a", **options)


def test_a_model_without_attention_tells_log_probabilities(asked: Get, reference: Get) -> None:
    ref = reference("rwkv_text")
    found = asked("rwkv_text")(PROMPTS, details=True, do_sample=False, max_new_tokens=NEW)
    for prompt, (entry,) in zip(PROMPTS, found, strict=True):
        assert_same(told(entry), ref.generated(ref.encoded(prompt), do_sample=False)[0])


def test_others_share_a_batch(asked: Get) -> None:
    for name in CAUSAL:
        model = asked(name).model.model
        assert model.takes_company
        assert model.sees_only_back
        sizes: list[int] = []
        generated = model._generated
        model._generated = lambda rows, options, sizes=sizes, run=generated: (
            sizes.append(len(rows)) or run(rows, options)
        )
        asked(name)(PROMPTS, do_sample=False, max_new_tokens=1)
        del model._generated
        assert sizes == [len(PROMPTS)]


def test_a_model_that_reads_texts_as_a_whole_tells_no_log_probabilities(asked: Get) -> None:
    model = asked("xlm_text")
    assert model(PROMPT, max_new_tokens=2)
    for options in ({"details": True}, {"best_of": 2, "do_sample": True}):
        assert "reads texts as a whole" in model.refusal(PROMPT, max_new_tokens=2, **options)

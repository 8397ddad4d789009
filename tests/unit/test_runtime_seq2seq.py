"""Generated models of summarization, translation and text2text-generation, against transformers 4 and `generate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.asked import Asked, RefusedError
from tests.oracle import record
from tests.oracle.seq2seq import CASES, LONG, SHORT, TEXTS, TOO_LONG
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_runtime import InvalidInput, language
from hub2triton import tasks
from hub2triton.tasks.payload import PayloadError

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Asks a model of a task; each is generated once."""
    output = tmp_path_factory.mktemp("repository")
    made: dict[tuple[str, str], Asked] = {}

    def ask(task: str, model: str, inputs: Any, **parameters: Any) -> Any:
        if (task, model) not in made:
            made[task, model] = Asked(task, tiny(model), output, rows=2)
        return made[task, model](inputs, **parameters)

    return ask


@pytest.fixture(scope="module")
def unchanged(tiny: Callable[[str], Path]) -> None:
    record.check("seq2seq", tiny)


def original(folder: Path, texts: list[str], src_lang: str | None = None, **options: Any) -> list[str]:
    """What `generate` gives for each text alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    if src_lang is not None:
        tokenizer.src_lang = src_lang
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.inference_mode():
            ids = model.generate(input_ids=inputs["input_ids"], **options)
        found += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return found


# ---- as the pipelines were


def test_the_stored_answers_are_those_of_today_s_cases() -> None:
    stored = record.stored("seq2seq")
    assert [(case.name, case.inputs) for case in stored] == [(case.name, case.inputs) for case in CASES]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", record.stored("seq2seq"), ids=lambda case: case.name)
def test_answers_are_the_pipelines(ask: Ask, case: record.Case) -> None:
    """In batches with longer neighbours, while the pipelines took a text at a time."""
    assert ask(case.task, case.model, case.inputs, **case.parameters) == case.answer


# ---- the model's own defaults


@pytest.mark.parametrize(("task", "model"), [("summarization", "bart_summary"), ("translation", "marian")])
def test_a_models_own_number_of_beams_counts(ask: Ask, tiny: Callable[[str], Path], task: str, model: str) -> None:
    """Not so in transformers 4, whose pipelines put their four beams above the two of the model."""
    (key,) = {key for answer in ask(task, model, TEXTS) for key in answer}
    found = [answer[key] for answer in ask(task, model, TEXTS)]
    assert found == original(tiny(model), TEXTS)
    assert found != original(tiny(model), TEXTS, num_beams=4)


def test_what_was_asked_for_goes_before_all_defaults(ask: Ask, tiny: Callable[[str], Path]) -> None:
    """Also max_length, which transformers 4 passed over where the default was a number of new tokens."""
    options: dict[str, Any] = {"num_beams": 3, "max_length": 6}
    (answer,) = ask("text2text-generation", "flan_t5", LONG, **options)
    assert [answer["generated_text"]] == original(tiny("flan_t5"), [LONG], **options)
    (longer,) = ask("text2text-generation", "flan_t5", LONG, max_new_tokens=6)
    assert len(longer["generated_text"]) > len(answer["generated_text"])
    (own,) = ask("summarization", "t5_prefixes", LONG, max_length=6)
    wanted = {"early_stopping": True, "num_beams": 3, "no_repeat_ngram_size": 2, "min_length": 4, "max_length": 6}
    assert [own["summary_text"]] == original(tiny("t5_prefixes"), ["summarize: " + LONG], **wanted)


def test_an_answer_ends_where_the_decoder_has_no_positions_left(ask: Ask) -> None:
    (answer,) = ask("summarization", "bart_summary", LONG, max_new_tokens=4000, min_length=4000)
    (again,) = ask("summarization", "bart_summary", LONG, max_new_tokens=63, min_length=4000)
    assert answer == again


def test_more_tokens_than_the_operator_allows_are_refused(ask: Ask) -> None:
    with pytest.raises(RefusedError, match="at most 4096, not 4097"):
        ask("summarization", "bart_summary", LONG, max_new_tokens=4097)


@pytest.mark.parametrize("beams", [1, 2, 4])
@pytest.mark.parametrize(
    ("task", "model", "languages"),
    [
        ("summarization", "bart_summary", {}),
        ("summarization", "t5_prefixes", {}),
        ("text2text-generation", "flan_t5", {}),
        ("translation", "marian", {}),
        ("translation", "madlad", {"tgt_lang": "de"}),
        ("translation", "m2m100", {"src_lang": "en", "tgt_lang": "fr"}),
        ("translation", "mbart50", {"src_lang": "en_XX", "tgt_lang": "fr_XX"}),
        ("translation", "mbart", {"src_lang": "en_XX", "tgt_lang": "fr_XX"}),
        ("translation", "nllb", {"src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}),
    ],
)
def test_neighbours_change_nothing(ask: Ask, task: str, model: str, languages: dict[str, str], beams: int) -> None:
    options = {**languages, "num_beams": beams, "max_new_tokens": 12, "repetition_penalty": 1.5}
    texts = [*TEXTS, TOO_LONG, "old old friend", "the child in the house is sad"]
    assert ask(task, model, texts, **options) == [ask(task, model, text, **options)[0] for text in texts]


def test_a_sampled_answer_comes_again(ask: Ask) -> None:
    options = {"do_sample": True, "num_beams": 1, "max_new_tokens": 12, "temperature": 2.0}
    alone = ask("text2text-generation", "flan_t5", LONG, seed=3, **options)
    assert ask("text2text-generation", "flan_t5", [SHORT, LONG], seed=3, **options)[1] == alone[0]
    assert ask("text2text-generation", "flan_t5", LONG, seed=4, **options) != alone
    assert ask("text2text-generation", "flan_t5", LONG, **options) != ask(
        "text2text-generation", "flan_t5", LONG, **options
    )


def test_generation_ends_after_a_stop_text(ask: Ask) -> None:
    (whole,) = ask("text2text-generation", "flan_t5", LONG, max_new_tokens=12, num_beams=1)
    word = whole["generated_text"].split()[1]
    (cut,) = ask("text2text-generation", "flan_t5", LONG, max_new_tokens=12, num_beams=1, stop_sequence=word)
    assert cut["generated_text"].endswith(word)
    assert whole["generated_text"].startswith(cut["generated_text"])
    assert len(cut["generated_text"]) < len(whole["generated_text"])


# ---- long texts


@pytest.mark.parametrize(
    "cut", [{}, {"truncation": True}, {"truncation": "longest_first"}, {"truncation": "only_first"}]
)
def test_a_long_text_is_cut(ask: Ask, tiny: Callable[[str], Path], cut: dict[str, Any]) -> None:
    (answer,) = ask("summarization", "bart_summary", TOO_LONG, **cut)
    assert [answer["summary_text"]] == original(tiny("bart_summary"), [TOO_LONG])


@pytest.mark.parametrize("whole", [False, "do_not_truncate", "only_second"])
def test_a_long_text_is_refused_where_it_is_not_to_be_cut(ask: Ask, whole: object) -> None:
    with pytest.raises(RefusedError, match=r"a text has 183 tokens, but this model takes 64; .*leave truncation on"):
        ask("summarization", "bart_summary", TOO_LONG, truncation=whole)
    assert ask("summarization", "bart_summary", LONG, truncation=whole) == ask("summarization", "bart_summary", LONG)


# ---- languages


@pytest.mark.parametrize(
    ("model", "source", "target"),
    [("mbart", "en_XX", "fr_XX"), ("nllb", "eng_Latn", "fra_Latn"), ("m2m100", "en", "fr")],
)
def test_the_tasks_name_says_the_languages(ask: Ask, model: str, source: str, target: str) -> None:
    named = f"translation_{source}_to_{target}"
    asked = ask("translation", model, TEXTS, src_lang=source, tgt_lang=target)
    assert ask(named, model, TEXTS) == asked
    assert ask("translation", model, TEXTS, sourceLang=source.upper(), tgt_lang=target.replace("_", "-")) == asked
    back = ask("translation", model, TEXTS, src_lang=target, tgt_lang=source)
    assert back != asked
    assert ask(named, model, TEXTS, src_lang=target, tgt_lang=source) == back
    assert ask("translation", model, TEXTS, src_lang=source, tgt_lang=target) == asked  # nothing is left behind


@pytest.mark.parametrize(
    ("model", "codes"),
    [
        ("mbart", ["en_XX", "fr_XX", "de_DE"]),
        ("mbart50", ["en_XX", "fr_XX", "xh_ZA"]),
        ("nllb", ["eng_Latn", "fra_Latn", "deu_Latn"]),
        ("m2m100", ["en", "fr", "de"]),
    ],
)
@pytest.mark.parametrize("beams", [1, 3])
def test_a_language_is_marked_and_another_is_forced(
    ask: Ask, tiny: Callable[[str], Path], model: str, codes: list[str], beams: int
) -> None:
    """As `generate` answers with the target's token forced to be the first, for every pair of languages."""
    tokenizer = AutoTokenizer.from_pretrained(tiny(model))
    ids = getattr(tokenizer, "lang_code_to_id", None) or {code: tokenizer.convert_tokens_to_ids(code) for code in codes}
    texts = [*TEXTS, "the boy and the girl walk to school"]
    everything: dict[tuple[str, str], list[str]] = {}
    for source in codes:
        for target in codes:
            options = {"num_beams": beams, "max_new_tokens": 12}
            answers = ask("translation", model, texts, src_lang=source, tgt_lang=target, **options)
            found = [answer["translation_text"] for answer in answers]
            options["forced_bos_token_id"] = ids[target]
            assert found == original(tiny(model), texts, source, **options)
            everything[source, target] = found
    # Both languages matter to the answers, or their being equal would show nothing.
    assert all(len({tuple(everything[source, target]) for target in codes}) > 1 for source in codes)
    assert all(len({tuple(everything[source, target]) for source in codes}) > 1 for target in codes)


def test_madlad_is_told_the_target_by_a_mark(ask: Ask, tiny: Callable[[str], Path]) -> None:
    """The text passes through where it has the mark already; no source is asked for."""
    options = {"max_new_tokens": 12, "num_beams": 2}
    found = {}
    for code in ("fr", "de"):
        marked = [f"<2{code}> {text}" for text in TEXTS]
        expected = original(tiny("madlad"), marked, **options)
        for inputs, asked in ((marked, {}), (TEXTS, {"tgt_lang": code}), (TEXTS, {"src_lang": "x", "tgt_lang": code})):
            answers = ask("translation", "madlad", inputs, **asked, **options)
            assert [answer["translation_text"] for answer in answers] == expected
        found[code] = expected
    assert all(one != other for one, other in zip(found["fr"], found["de"], strict=True))
    assert ask("translation_en_to_fr", "madlad", SHORT, **options) == [{"translation_text": found["fr"][0]}]
    plain = [answer["translation_text"] for answer in ask("translation", "madlad", TEXTS, **options)]
    assert plain == original(tiny("madlad"), TEXTS, **options)


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        (
            "mbart50",
            {},
            r"send the parameters src_lang and tgt_lang \(tgt_lang not given\), such as 'en_XX', 'af_ZA', 'ar_AR'",
        ),
        ("madlad", {"tgt_lang": "tlh"}, "does not know the language 'tlh'; its codes are such as 'en', 'de', 'fr'"),
        (
            "nllb",
            {},
            r"send the parameters src_lang and tgt_lang \(tgt_lang not given\), such as 'eng_Latn', 'deu_Latn'",
        ),
        ("m2m100", {"src_lang": "fr"}, r"between 100 languages: .*\(tgt_lang not given\), such as 'en', 'af'"),
        ("nllb", {"src_lang": "eng", "tgt_lang": "fra_Latn"}, "language 'eng'; its codes are such as 'eng_Latn'"),
        ("nllb", {"src_lang": "eng_Latn", "tgt_lang": "fra_Lat"}, "did you mean 'fra_Latn'"),
        ("nllb", {"src_lang": "eng_Latn", "tgt_lang": "e"}, "does not know the language 'e'"),  # a token, no language
        ("mbart", {"src_lang": "en_XX", "tgt_lang": "fr"}, "does not know the language 'fr'; .* did you mean 'fr_XX'"),
        ("m2m100", {"src_lang": "en", "tgt_lang": "klingon"}, "does not know the language 'klingon'"),
        ("marian_targets", {"tgt_lang": "deu"}, "does not know the language 'deu'; its codes are such as 'fra', 'ron'"),
        ("marian", {"src_lang": "en", "tgt_lang": "de"}, "translates to 'fr' only; leave tgt_lang 'de' out"),
        ("t5_prefixes", {"src_lang": "en", "tgt_lang": "tlh"}, "from 'en' to 'tlh'.*en to de, en to fr"),
    ],
)
def test_languages_that_a_model_does_not_know(ask: Ask, model: str, asked: dict[str, str], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        ask("translation", model, SHORT, **asked)


def test_t5_is_told_the_languages_in_a_sentence(ask: Ask, tiny: Callable[[str], Path]) -> None:
    options = {"max_new_tokens": 12}
    to_french = ask("translation_en_to_fr", "t5_prefixes", TEXTS, **options)
    assert ask("translation", "t5_prefixes", TEXTS, src_lang="en", tgt_lang="fr", **options) == to_french
    assert ask("translation", "t5_prefixes", TEXTS, tgt_lang="fr", **options) == to_french
    assert ask("translation", "t5_prefixes", TEXTS, **options) != to_french
    for task, model, asked in (
        ("translation", "t5_prefixes", {"src_lang": "ro", "tgt_lang": "es"}),
        ("translation_ro_to_es", "flan_t5", {}),
    ):
        (answer,) = ask(task, model, SHORT, **asked, **options)
        wanted = original(tiny(model), ["translate Romanian to Spanish: " + SHORT], num_beams=4, **options)
        assert [answer["translation_text"]] == wanted
    assert ask("translation_xyz_to_abc", "flan_t5", SHORT, **options) == ask("translation", "flan_t5", SHORT, **options)


def test_marian_is_told_the_target_by_a_mark(ask: Ask) -> None:
    to_french = ask("translation", "marian_targets", [f">>fra<< {text}" for text in TEXTS])
    assert ask("translation", "marian_targets", TEXTS, tgt_lang="fra") == to_french
    assert ask("translation_en_to_fra", "marian_targets", TEXTS) == to_french
    assert ask("translation_en_to_fr", "marian_targets", TEXTS) == ask("translation", "marian_targets", TEXTS)
    assert ask("translation", "marian_targets", TEXTS) != to_french
    assert ask("translation", "marian_targets", TEXTS, tgt_lang="ron") != to_french


@pytest.mark.parametrize("target", ["fr", "fra", "fr_XX", "FR", None])
def test_a_model_of_one_pair_needs_no_languages(ask: Ask, target: str | None) -> None:
    asked = {"src_lang": "en", "tgt_lang": target}
    assert ask("translation", "marian", SHORT, **asked) == ask("translation", "marian", SHORT)


def test_a_task_of_unknown_languages_is_no_model(ask: Ask) -> None:
    with pytest.raises(
        InvalidInput.__mro__[1], match="does not know the language 'en'; its codes are such as 'eng_Latn'"
    ):
        ask("translation_en_to_fr", "nllb", SHORT)


def test_a_forced_first_token_is_the_default_target(tiny: Callable[[str], Path]) -> None:
    folder = tiny("mbart")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    model.generation_config.forced_bos_token_id = tokenizer.convert_tokens_to_ids("de_DE")
    languages = language.of(tokenizer, model.config, model.generation_config, "translation")
    found = languages.direction("fr_XX", None)
    assert found == language.Direction(None, "fr_XX", {"forced_bos_token_id": tokenizer.convert_tokens_to_ids("de_DE")})


# ---- forms


@pytest.mark.parametrize("spelling", ["generate_parameters", "generateKwargs", "generation_parameters", "generate"])
def test_nested_parameters(ask: Ask, spelling: str) -> None:
    wanted = ask("summarization", "bart_summary", LONG, max_length=9, num_beams=3)
    assert ask("summarization", "bart_summary", LONG, **{spelling: {"maxLength": 9, "num_beams": 3}}) == wanted
    assert wanted != ask("summarization", "bart_summary", LONG)


def test_shapes(ask: Ask) -> None:
    def shape(inputs: Any, **parameters: Any) -> Any:
        def keys(value: Any) -> Any:
            return [keys(item) for item in value] if isinstance(value, list) else set(value)

        return keys(ask("translation", "marian", inputs, **parameters))

    one = {"translation_text"}
    assert shape("x") == [one]
    assert shape(["x"]) == [one]
    assert shape(["x", "a dog"]) == [one, one]
    assert shape("x", num_return_sequences=2) == [one, one]
    assert shape(["x"], num_return_sequences=2) == [[one, one]]
    assert shape(["x", "a dog"], num_return_sequences=2) == [[one, one], [one, one]]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens.* at least 1"),
        ({"num_beams": 0}, "num_beams.* at least 1"),
        ({"num_beams": 1000}, "num_beams"),
        ({"num_return_sequences": 3}, "num_return_sequences 3 needs"),
        ({"truncation": "sideways"}, "'truncation' must be true or false, .*'longest_first'"),
        ({"early_stopping": "soon"}, "true or false, 'never'"),
        ({"max_length": "long"}, "whole number"),
        ({"src_lang": "en"}, "unknown parameter 'src_lang'"),
        ({"max_tokens": 5}, "unknown parameter 'max_tokens'; did you mean"),
        ({"generate_parameters": {"beams": 5}}, "unknown parameter 'beams'"),
    ],
)
def test_parameters_that_cannot_be(ask: Ask, asked: dict[str, Any], told: str) -> None:
    with pytest.raises((RefusedError, PayloadError), match=told):
        ask("summarization", "bart_summary", SHORT, **asked)


@pytest.mark.parametrize("name", ["summarization", "translation", "text2text-generation"])
def test_the_example_is_answered(ask: Ask, name: str) -> None:
    spec = tasks.find(name)
    assert spec is not None
    models = {"translation": "marian"}
    (answer,) = ask(name, models.get(name, "bart_summary"), spec.example["inputs"])
    (text,) = answer.values()
    assert text

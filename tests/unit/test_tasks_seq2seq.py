"""Payloads of summarization, translation and text2text-generation, and the JSON of their answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks import seq2seq
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Call, Profile, TaskSpec

KEYS = {
    "summarization": "summary_text",
    "translation": "translation_text",
    "text2text-generation": "generated_text",
}
each_task = pytest.mark.parametrize("spec", seq2seq.SPECS, ids=lambda spec: spec.name)


def call(spec: TaskSpec, inputs: Any, **body: Any) -> Call:
    return spec.encode(Payload.from_json({"inputs": inputs, **body}, Limits()))


def answer(spec: TaskSpec, *texts: str) -> dict[str, np.ndarray[Any, Any]]:
    return {KEYS[spec.name]: np.array([text.encode() for text in texts], dtype=np.object_)}


@each_task
@pytest.mark.parametrize("profile", Profile)
def test_shapes(spec: TaskSpec, profile: Profile) -> None:
    def items(*texts: str) -> list[dict[str, str]]:
        return [{KEYS[spec.name]: text} for text in texts]

    one, two = answer(spec, "é"), answer(spec, "b", "c")
    assert call(spec, "x").decode([one], profile) == items("é")
    assert call(spec, "x").decode([two], profile) == items("b", "c")
    assert call(spec, ["x"]).decode([one], profile) == items("é")
    assert call(spec, ["x", "y"]).decode([one, one], profile) == items("é", "é")
    assert call(spec, ["x"]).decode([two], profile) == [items("b", "c")]
    assert call(spec, ["x", "y"]).decode([two, two], profile) == [items("b", "c")] * 2


@each_task
def test_a_list_becomes_rows_in_its_order(spec: TaskSpec) -> None:
    assert call(spec, ["a", "", "b"]).rows == [{"text": "a"}, {"text": ""}, {"text": "b"}]


@each_task
@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"max_length": 9, "num_beams": 2}},
        {"parameters": {"maxLength": 9, "numBeams": 2}},
        {"parameters": {"generate_parameters": {"max_length": 9}, "num_beams": 2}},
        {"parameters": {"generateKwargs": {"max_length": 9, "numBeams": 2}}},
        {"parameters": {"generation_parameters": {"max_length": 9, "num_beams": 2}}},
        {"max_length": 9, "num_beams": 2},
        {"parameters": {"max_length": 9, "num_beams": 2, "top_k": None}, "options": {"wait_for_model": True}},
    ],
)
def test_spellings_of_parameters(spec: TaskSpec, body: dict[str, Any]) -> None:
    assert call(spec, "x", **body).parameters == {"max_length": 9, "num_beams": 2}


@each_task
@pytest.mark.parametrize("given", [True, False, "do_not_truncate", "longest_first", "only_first", "only_second"])
def test_truncation(spec: TaskSpec, given: object) -> None:
    assert call(spec, "x", parameters={"truncation": given}).parameters == {"truncation": given}


@each_task
def test_stop_texts(spec: TaskSpec) -> None:
    for name in ("stop", "stop_sequence", "stopSequences", "stop_strings"):
        assert call(spec, "x", parameters={name: "."}).parameters == {"stop": ["."]}


@pytest.mark.parametrize("given", [True, False, "never"])
def test_early_stopping(given: object) -> None:
    assert call(seq2seq.SUMMARIZATION, "x", parameters={"early_stopping": given}).parameters["early_stopping"] == given


@each_task
@pytest.mark.parametrize(
    ("inputs", "parameters", "told"),
    [
        (None, {}, "null"),
        (5, {}, "number 5"),
        ({"text": "a"}, {}, "an object"),
        ([], {}, "empty list"),
        (["a", 5], {}, r"inputs\[1\]"),
        ([["a"]], {}, r"inputs\[0\]"),
        ("a", {"nix": 1}, "unknown parameter 'nix'"),
        ("a", {"max_new_token": 1}, "did you mean 'max_new_tokens'"),
        ("a", {"max_new_tokens": 0}, "at least 1"),
        ("a", {"max_new_tokens": True}, "whole number"),
        ("a", {"do_sample": 1}, "true or false"),
        ("a", {"early_stopping": "soon"}, "true or false, 'never'"),
        ("a", {"truncation": "middle"}, "'longest_first'"),
        ("a", {"stop": [1]}, "stop"),
    ],
)
def test_what_is_refused(spec: TaskSpec, inputs: Any, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(PayloadError, match=told):
        call(spec, inputs, parameters=parameters)


@each_task
def test_details_are_told_where_they_are_asked_for(spec: TaskSpec) -> None:
    row = answer(spec, "é") | {
        "finish_reason": np.array([b"length"], dtype=np.object_),
        "generated_tokens": np.array([7], dtype=np.int32),
        "details_json": np.array([b'{"tokens": [1]}'], dtype=np.object_),
    }
    told = {"finish_reason": "length", "generated_tokens": 7, "seed": 3, "tokens": [1]}
    whole = {KEYS[spec.name]: "é", "details": told}
    asked = call(spec, ["x", "y"], parameters={"details": True, "seed": 3})
    assert asked.decode([row, row], Profile.TOOLKIT) == [whole, whole]
    assert call(spec, "x").decode([row], Profile.TOOLKIT) == [{KEYS[spec.name]: "é"}]


@each_task
@pytest.mark.parametrize(
    "given",
    [
        {"return_full_text": True},
        {"returnFullText": False, "return_text": False},
        {"generate_kwargs": {"return_text": True, "return_tensors": False}},
        {"return_tensors": None},
    ],
)
def test_parameters_of_the_form_of_answers_mean_nothing(spec: TaskSpec, given: dict[str, Any]) -> None:
    assert call(spec, "x", parameters={**given, "num_beams": 2}).parameters == {"num_beams": 2}


@each_task
def test_ids_of_tokens_are_no_answer(spec: TaskSpec) -> None:
    for given in ({"return_tensors": True}, {"generate_parameters": {"returnTensors": True}}):
        with pytest.raises(PayloadError, match="return_tensors is not supported: answers are texts"):
            call(spec, "x", parameters=given)
    with pytest.raises(PayloadError, match="'return_full_text' must be true or false"):
        call(spec, "x", parameters={"return_full_text": "no"})


def test_languages_are_for_translation_alone() -> None:
    given = {"srcLang": "en_XX", "tgt_lang": "fr_XX"}
    found = call(seq2seq.TRANSLATION, "x", parameters=given).parameters
    assert found == {"src_lang": "en_XX", "tgt_lang": "fr_XX"}
    with pytest.raises(PayloadError, match="unknown parameter 'srcLang'"):
        call(seq2seq.SUMMARIZATION, "x", parameters=given)


@pytest.mark.parametrize(
    "name", ["translation_en_to_fr", "translation_eng_Latn_to_fra_Latn", "translation_en_XX_to_fr_XX"]
)
def test_the_tasks_name_may_say_the_languages(name: str) -> None:
    assert tasks.find(name) is seq2seq.TRANSLATION


@pytest.mark.parametrize("name", ["translation_", "translation_en", "translation_en_to_", "translations"])
def test_other_names_are_no_translation(name: str) -> None:
    assert tasks.find(name) is None

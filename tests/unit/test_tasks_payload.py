from __future__ import annotations

from typing import Any

import pytest

from hub2triton.tasks.payload import Limits, Payload, PayloadError, kind


def payload_of(body: Any, **limits: int) -> Payload:
    return Payload.from_json(body, Limits(**limits))


def test_a_body_is_taken_apart() -> None:
    payload = payload_of({"inputs": ["a"], "parameters": {"top_k": 2}, "options": {"wait_for_model": True}})
    assert payload.inputs == ["a"]
    assert payload.parameters == {"top_k": 2}
    assert payload.root == {"options": {"wait_for_model": True}}


def test_null_parameters_are_none() -> None:
    assert payload_of({"inputs": "a", "parameters": None}).parameters == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (["a"], 'the body must be a JSON object such as {"inputs": …}, not a list'),
        (None, "not null"),
        ({"input": "a", "x": 1}, r"no key \"inputs\" \(keys given: 'input', 'x'\)"),
        ({}, "keys given: none"),
        ({"inputs": "a", "parameters": [1]}, '"parameters" must be an object, not a list'),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        payload_of(body)
    assert caught.value.status == 400


def test_null_inputs_are_left_to_the_task() -> None:
    assert payload_of({"inputs": None}).inputs is None


@pytest.mark.parametrize(
    ("value", "words", "status"),
    [
        (1, "here must be a string, not the number 1", 400),
        (None, "not null", 400),
        ("abcdef", "has 6 characters; the limit is 5", 413),
        ("\ud800", "lone surrogate", 400),
    ],
)
def test_what_is_no_text_is_refused(value: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        payload_of({"inputs": ""}, text_length=5).text(value, "here")
    assert caught.value.status == status


def test_a_text_as_long_as_the_limit_is_taken() -> None:
    assert payload_of({"inputs": ""}, text_length=5).text("abcde", "here") == "abcde"


def test_texts_name_the_item_that_is_wrong() -> None:
    payload = payload_of({"inputs": ""}, rows=2)
    assert payload.texts([], "inputs") == []
    assert payload.texts(["a", "b"], "inputs") == ["a", "b"]
    with pytest.raises(PayloadError, match=r"inputs\[1\] must be a string, not true"):
        payload.texts(["a", True], "inputs")
    with pytest.raises(PayloadError, match="inputs must be a list of strings, not the string 'a'"):
        payload.texts("a", "inputs")


def test_too_many_texts_are_refused_as_too_large() -> None:
    with pytest.raises(PayloadError, match="has 3 items; the limit is 2") as caught:
        payload_of({"inputs": ""}, rows=2).texts(["a"] * 3, "inputs")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (False, "false"),
        (0, "the number 0"),
        (1.5, "the number 1.5"),
        ("a", "the string 'a'"),
        ("a" * 61, "a string"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_kind_names_a_value(value: Any, words: str) -> None:
    assert kind(value) == words

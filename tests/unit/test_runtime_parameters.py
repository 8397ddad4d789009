from __future__ import annotations

from typing import Any, Literal, TypedDict, Unpack

import pytest

from hf_runtime import InvalidInput
from hf_runtime.parameters import accepted, conforms, describe, parse


class Options(TypedDict, total=False):
    side: Literal["left", "right"]
    top_k: int


def test_keyword_arguments_are_accepted() -> None:
    def predict(items: list[str], extra: int = 0, *, top_k: int = 5, words: list[str] | None = None) -> None: ...

    assert accepted(predict) == {"top_k": int, "words": list[str] | None}


def test_the_keys_of_an_unpacked_dict_are_accepted() -> None:
    def predict(items: list[str], *, truncate: bool = True, **options: Unpack[Options]) -> None: ...

    assert accepted(predict) == {"truncate": bool, "side": Literal["left", "right"], "top_k": int}


def test_a_predict_without_parameters_accepts_none() -> None:
    def predict(items: list[str]) -> None: ...

    assert accepted(predict) == {}
    with pytest.raises(InvalidInput, match="unknown parameter 'x'; this model takes: none"):
        parse('{"x": 1}', {})


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"top_k": null}', '{"unknown": null}'])
def test_nothing_is_given(text: str) -> None:
    assert parse(text, {"top_k": int}) == {}


def test_values_are_given() -> None:
    assert parse('{"top_k": 3, "side": "left"}', Options.__annotations__ | {"side": str, "top_k": int}) == {
        "top_k": 3,
        "side": "left",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "parameters_json is not valid JSON"),
        ("9" * 5000, "parameters_json is not valid JSON"),
        ("[" * 100_000, "parameters_json is not valid JSON"),
        ("[" * 900 + "]" * 900, "parameters_json"),  # a list, or too deep for the stack that is left
        ('{"side": "\\ud800"}', "parameters_json is not valid Unicode"),
        ('{"side": {"a": ["\\udc00b"]}}', "parameters_json is not valid Unicode"),
        ('{"\\ud83d": 1}', "parameters_json is not valid Unicode"),
        ("[]", "must be a JSON object, not a list"),
        ("1", "must be a JSON object, not a number"),
        ("null", "must be a JSON object, not null"),
        ('"a"', "must be a JSON object, not a string"),
        ("true", "must be a JSON object, not a boolean"),
        ('{"nope": 1}', "unknown parameter 'nope'; this model takes: side, top_k"),
        ('{"top_k": 1.5}', "parameter 'top_k' must be a whole number, not 1.5"),
        ('{"top_k": true}', "parameter 'top_k' must be a whole number, not true"),
        ('{"side": "up"}', 'parameter \'side\' must be "left" or "right", not "up"'),
    ],
)
def test_what_cannot_be_taken_is_the_callers_mistake(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse(text, {"top_k": int, "side": Literal["left", "right"]})


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (Any, [None, 1, "a", []], []),
        (bool, [True, False], [1, 0, "true"]),
        (int, [1, -1], [True, 1.0, "1"]),
        (float, [1, 1.5], [True, "1"]),
        (str, ["", "a"], [1, ["a"]]),
        (int | None, [1, None], ["1"]),
        (list[str], [[], ["a"]], ["a", [1], ["a", 1]]),
        (dict[str, int], [{}], [[], "a"]),
        (Literal["a", "b"], ["a", "b"], ["c", "A", ["a"]]),
        (Literal["a"] | int, ["a", 1], ["b", 1.5]),
    ],
)
def test_values_conform_to_types(hint: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not conforms(value, hint)] == []
    assert [value for value in bad if conforms(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (int | None, "a whole number"),
        (int | str, "a whole number or a string"),
        (float, "a number"),
        (list[int], "a list, each item a whole number"),
        (dict[str, Any], "an object"),
        (Literal["a", "b"], '"a" or "b"'),
    ],
)
def test_types_are_described_in_the_words_of_json(hint: Any, words: str) -> None:
    assert describe(hint) == words

from __future__ import annotations

from typing import Any

import pytest

from hub2triton.tasks.parameter import IGNORED, ParameterSpec, from_query, merged, snake_case
from hub2triton.tasks.payload import Limits, Payload, PayloadError

SPECS = (
    ParameterSpec("top_k", int, "", minimum=1),
    ParameterSpec("temperature", float, "", minimum=0),
    ParameterSpec("truncate", bool, ""),
    ParameterSpec("side", str, "", choices=("left", "right"), aliases=("direction",)),
    ParameterSpec("labels", list, ""),
    ParameterSpec("generate", dict, ""),
)


def merge(parameters: dict[str, Any], **root: Any) -> dict[str, Any]:
    return merged(Payload.from_json({"inputs": "", "parameters": parameters, **root}, Limits()), SPECS)


@pytest.mark.parametrize(
    ("name", "snake"),
    [("topK", "top_k"), ("top_k", "top_k"), ("maxNewTokens", "max_new_tokens"), ("top2K", "top2_k"), ("TopK", "top_k")],
)
def test_camel_case_is_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


@pytest.mark.parametrize("key", ["top_k", "topK", "TopK"])
def test_all_spellings_are_one_parameter(key: str) -> None:
    assert merge({key: 3}) == {"top_k": 3}
    assert merge({}, **{key: 3}) == {"top_k": 3}


def test_an_alias_becomes_the_own_name() -> None:
    assert merge({"direction": "left"}) == {"side": "left"}


def test_parameters_win_over_the_root() -> None:
    assert merge({"topK": 1}, top_k=2, truncate=True) == {"top_k": 1, "truncate": True}


def test_null_is_not_given() -> None:
    assert merge({"top_k": None}, truncate=None) == {}


def test_unknown_root_keys_are_passed_over() -> None:
    assert merge({}, nonsense=1) == {}


@pytest.mark.parametrize("key", sorted(IGNORED))
def test_what_clients_of_hosted_endpoints_send_is_passed_over(key: str) -> None:
    assert merge({key: True}) == {}


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PayloadError, match=r"unknown parameter 'topKK'; did you mean 'top_k'\? \(this task takes: "):
        merge({"topKK": 1})
    with pytest.raises(PayloadError, match=r"unknown parameter 'zzz' \(this task takes: direction, generate"):
        merge({"zzz": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 1), ("temperature", 0), ("temperature", 0.5), ("labels", ["a"]), ("generate", {"a": 1})],
)
def test_values_that_fit_are_taken_as_they_are(name: str, value: Any) -> None:
    assert merge({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("top_k", True, "'top_k' must be a whole number, not true"),
        ("top_k", 1.0, "must be a whole number, not the number 1.0"),
        ("top_k", "1", "must be a whole number, not the string '1'"),
        ("top_k", 0, "must be at least 1, not 0"),
        ("temperature", False, "must be a number, not false"),
        ("temperature", -0.5, "must be at least 0, not -0.5"),
        ("truncate", 1, "must be true or false, not the number 1"),
        ("truncate", "true", "must be true or false"),
        ("side", "up", "must be one of left, right, not the string 'up'"),
        ("side", 1, "must be one of left, right"),
        ("generate", [], "must be an object, not a list"),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        merge({name: value})
    with pytest.raises(PayloadError, match=words):
        merge({}, **{name: value})


def test_choices_may_be_written_in_any_case() -> None:
    assert merge({"side": "LEFT"}) == {"side": "left"}


def test_a_string_where_a_list_is_meant_is_a_list_of_one_or_cut_at_its_commas() -> None:
    specs = (ParameterSpec("stop", list, ""), ParameterSpec("labels", list, "", commas=True))
    found = merged(
        Payload.from_json({"inputs": "", "parameters": {"stop": "a, b", "labels": "a, b,"}}, Limits()), specs
    )
    assert found == {"stop": ["a, b"], "labels": ["a", "b"]}


@pytest.mark.parametrize("name", ["generate", "generate_kwargs", "generateParameters", "generation_parameters"])
def test_parameters_of_generation_may_stand_in_an_object_of_their_own(name: str) -> None:
    specs = (ParameterSpec("top_k", int, ""), ParameterSpec("seed", int, ""))
    assert merged(Payload.from_json({"inputs": "", "parameters": {name: {"topK": 5}, "seed": 1}}, Limits()), specs) == {
        "top_k": 5,
        "seed": 1,
    }


def test_values_of_a_url_are_whole_characters() -> None:
    sizes = (ParameterSpec("sizes", dict, ""),)
    assert from_query([("sizes", '{"a": "\\ud83d\\ude00"}')], sizes) == {"sizes": {"a": "\U0001f600"}}
    with pytest.raises(PayloadError, match="lone surrogate"):
        from_query([("sizes", '{"a": "\\ud83d"}')], sizes)

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile

USER = {"role": "user", "content": "hello"}
TOLD = {"role": "assistant", "content": "I am"}
BOTH = ("text-generation", "conversational")


def encoded(task: str, body: dict[str, Any], **limits: int) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    return spec.encode(Payload.from_json(body, Limits(**limits), spec.root_forms))


def call(task: str, inputs: Any, **parameters: Any) -> Call:
    return encoded(task, {"inputs": inputs, "parameters": parameters})


def chats(found: Call) -> list[Any]:
    return [json.loads(text) for row in found.rows for text in row.values() if isinstance(text, str)]


def answer(*texts: str) -> Answer:
    return {
        "text_output": np.array([text.encode() for text in texts], dtype=np.object_),
        "finish_reason": np.array([b"length", b"eos_token"][: len(texts)], dtype=np.object_),
        "generated_tokens": np.array([7, 8][: len(texts)], dtype=np.int32),
        "details_json": np.array([b'{"tokens": [1]}', b'{"tokens": [2], "seed": 9}'][: len(texts)], dtype=np.object_),
    }


# ---- texts


@pytest.mark.parametrize(("inputs", "texts"), [("x", ["x"]), ("", [""]), (["x"], ["x"]), (["x", "y"], ["x", "y"])])
def test_texts_become_rows(inputs: Any, texts: list[str]) -> None:
    assert call("text-generation", inputs).rows == [{"text_input": text} for text in texts]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "empty list"),
        (None, '"inputs" must be a string, not null'),
        (5, "not the number 5"),
        ({}, "not an object"),
        (["x", 5], r"inputs\[1\] must be a string"),
        ([USER, "x"], r"inputs\[0\] must be a string, not an object"),
    ],
)
def test_what_are_no_texts_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call("text-generation", inputs)


@pytest.mark.parametrize("profile", Profile)
def test_texts_of_an_input_are_a_list_and_of_a_list_lists(profile: Profile) -> None:
    one, two = [{"generated_text": "a"}], [{"generated_text": "a"}, {"generated_text": "é"}]
    assert call("text-generation", "x").decode([answer("a")], profile) == one
    assert call("text-generation", "x").decode([answer("a", "é")], profile) == two
    assert call("text-generation", ["x"]).decode([answer("a")], profile) == [one]
    assert call("text-generation", ["x", "y"]).decode([answer("a", "é")] * 2, profile) == [two, two]


def test_details_are_told_where_they_are_asked_for() -> None:
    found = call("text-generation", "x", details=True, seed=3).decode([answer("a", "b")], Profile.TOOLKIT)
    one = {"finish_reason": "length", "generated_tokens": 7, "seed": 3, "tokens": [1]}
    other = {"finish_reason": "eos_token", "generated_tokens": 8, "seed": 9, "tokens": [2]}
    assert found == [{"generated_text": "a", "details": one}, {"generated_text": "b", "details": other}]
    (entry,) = call("text-generation", "x", details=True).decode([answer("a")], Profile.TOOLKIT)
    assert entry["details"]["seed"] is None
    assert call("text-generation", "x", top_n_tokens=2).decode([answer("a")], Profile.TOOLKIT) == [
        {"generated_text": "a"}
    ]


# ---- parameters


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"max_new_tokens": 5}, {"max_new_tokens": 5}),
        ({"maxNewTokens": 5, "doSample": False}, {"max_new_tokens": 5, "do_sample": False}),
        ({"max_tokens": 5, "n": 2}, {"max_new_tokens": 5, "num_return_sequences": 2}),
        ({"stop": "x"}, {"stop": ["x"]}),
        ({"stop_sequence": "a,b"}, {"stop": ["a,b"]}),
        ({"stop_sequences": ["x", "y"]}, {"stop": ["x", "y"]}),
        ({"generate_kwargs": {"num_beams": 2}, "seed": 1}, {"num_beams": 2, "seed": 1}),
        ({"generation_parameters": {"top_p": 0.9}}, {"top_p": 0.9}),
        ({"temperature": None, "watermark": None, "best_of": None}, {}),
        ({"watermark": False, "presence_penalty": 0, "logprobs": False}, {}),
        (
            {"bestOf": 2, "decoder_input_details": True, "generate": {"top_n_tokens": 0}},
            {"best_of": 2, "decoder_input_details": True, "top_n_tokens": 0},
        ),
        ({"handle_long_generation": "HOLE"}, {"handle_long_generation": "hole"}),
        ({"tools": [{"name": "x"}]}, {"tools": [{"name": "x"}]}),
    ],
)
def test_parameters_in_all_spellings(task: str, given: dict[str, Any], meant: dict[str, Any]) -> None:
    assert call(task, [USER] if task == "conversational" else "x", **given).parameters == meant


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"watermark": True}, "'watermark' is not supported"),
        ({"best_of": 0}, "'best_of' must be at least 1"),
        ({"grammar": {"type": "json", "value": {}}}, "'grammar' is not supported"),
        ({"top_n_tokens": -1}, "'top_n_tokens' must be at least 0"),
        ({"details": 1}, "'details' must be true or false"),
        ({"max_new_token": 5}, "did you mean 'max_new_tokens'"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"max_new_tokens": True}, "a whole number"),
        ({"temperature": "hot"}, "must be a number"),
        ({"stop": [1]}, "a list of strings"),
        ({"tools": ["x"]}, "a list of objects"),
        ({"tools": {"name": "x"}}, "a list of objects"),
        ({"handle_long_generation": "cut"}, "must be one of hole"),
    ],
)
def test_parameters_that_cannot_be(task: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call(task, [USER] if task == "conversational" else "x", **given)


# ---- chats


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"inputs": [USER]}, [[USER]]),
        ({"inputs": [[USER]]}, [[USER]]),
        ({"inputs": [[USER], [USER, TOLD]]}, [[USER], [USER, TOLD]]),
        ({"inputs": {"messages": [USER]}}, [[USER]]),
        ({"messages": [USER]}, [[USER]]),
        ({"inputs": {"text": "hello"}}, [[USER]]),
        (
            {"inputs": {"past_user_inputs": ["hello"], "generated_responses": ["I am"], "text": "hello"}},
            [[USER, TOLD, USER]],
        ),
        (
            {"inputs": [{"role": "assistant", "tool_calls": [{"id": "1"}]}, USER]},
            [[{"role": "assistant", "tool_calls": [{"id": "1"}]}, USER]],
        ),
    ],
)
def test_chats_become_rows(task: str, body: dict[str, Any], expected: Any) -> None:
    found = encoded(task, body)
    assert chats(found) == expected
    assert found.parameters == ({"chat": True} if task == "text-generation" else {})


def test_parameters_may_stand_beside_the_messages() -> None:
    found = encoded("conversational", {"messages": [USER], "max_tokens": 5, "model": "x", "stream": False})
    assert found.parameters == {"max_new_tokens": 5}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("hello", "must be a list of messages .* not the string 'hello'"),
        (None, "not null"),
        ([], "must hold messages such as"),
        (["hello"], "must hold messages such as"),
        ([[]], r"inputs\[0\] is an empty list"),
        ([USER, "x"], "must hold messages"),
        ([{"role": "user"}], r'inputs\[0\] has no "content"'),
        ([{"role": "user", "content": 5}], r'inputs\[0\] must have a "content" that is a string'),
        ([{"role": "assistant", "content": [5]}], r'inputs\[0\] must have a "content" that is a string'),
        ([{"role": "assistant", "content": [{"text": 5}]}], r'inputs\[0\] must have a "content" that is a string'),
        ([[USER], [{"content": "x"}]], r'inputs\[1\]\[0\] has no "role"'),
        ([[USER], ["x"]], r"inputs\[1\]\[0\] must be a message, not the string 'x'"),
        ({"messages": []}, "inputs is an empty list"),
        ({"messages": "x"}, "inputs must be a list of messages, not the string"),
        ({"text": 5}, '"text" must be a string'),
        ({"text": "x", "past_user_inputs": ["y"]}, "must be of one length, but have 1 and 0"),
        ({"text": "x", "past_user_inputs": "y"}, "must be a list"),
        ([{"role": "user", "content": "\ud83d"}], "lone surrogate"),
    ],
)
def test_what_are_no_chats_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call("conversational", inputs)


@pytest.mark.parametrize("task", BOTH)
def test_more_or_longer_chats_than_the_limits_are_refused(task: str) -> None:
    for body, limits in (({"inputs": [[USER]] * 3}, {"rows": 2}), ({"inputs": [USER]}, {"text_length": 10})):
        with pytest.raises(PayloadError) as caught:
            encoded(task, body, **limits)
        assert caught.value.status == 413


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize("profile", Profile)
def test_a_chat_comes_back_with_its_answer(task: str, profile: Profile) -> None:
    whole = {"generated_text": [USER, {"role": "assistant", "content": "a"}]}
    assert call(task, [USER]).decode([answer("a")], profile) == [whole]
    assert call(task, [[USER]]).decode([answer("a")], profile) == [[whole]]
    assert call(task, [[USER]] * 2).decode([answer("a")] * 2, profile) == [[whole]] * 2
    assert len(call(task, [USER]).decode([answer("a", "b")], profile)) == 2


@pytest.mark.parametrize("content", ["I am", [{"type": "text", "text": "I "}, {"type": "text", "text": "am"}]])
def test_the_assistants_last_message_is_continued(content: Any) -> None:
    chat = [USER, {"role": "assistant", "content": content}]
    whole = {"generated_text": [USER, {"role": "assistant", "content": "I am here"}]}
    assert call("conversational", chat).decode([answer(" here")], Profile.TOOLKIT) == [whole]
    assert chat[1]["content"] == content
    (entry,) = call("conversational", chat, continue_final_message=False).decode([answer("x")], Profile.TOOLKIT)
    assert entry["generated_text"] == [*chat, {"role": "assistant", "content": "x"}]


def test_the_new_text_alone() -> None:
    found = call("conversational", [USER], return_full_text=False, details=True).decode([answer("a")], Profile.TOOLKIT)
    assert found[0]["generated_text"] == "a"
    assert found[0]["details"]["finish_reason"] == "length"

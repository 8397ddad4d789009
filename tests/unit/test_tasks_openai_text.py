"""OpenAI's completions and chats, and text-generation-inference's /generate, in front of causal models."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.media import MediaAnswer
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile

COMPLETIONS, CHAT, GENERATE = "/v1/completions", "/v1/chat/completions", "/generate"
ASKS = [{"role": "user", "content": "who?"}]
TOKENS = [{"id": 1, "text": "é", "logprob": -0.5, "special": False}, {"id": 2, "text": " b", "logprob": -1.0}]


def call_at(path: str, task: str = "text-generation", **root: Any) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    endpoint = spec.endpoint(path)
    assert endpoint is not None
    return endpoint.encode(Payload(None, {}, root, Limits(), model="served"))


def answer(*texts: str, reason: str = "length", details: Any = None) -> Answer:
    """A row's tensors: its prompt has 4 tokens, and each text 2."""
    return {
        "text_output": np.array([text.encode() for text in texts], dtype=np.object_),
        "finish_reason": np.array([reason.encode()] * len(texts), dtype=np.object_),
        "generated_tokens": np.int32([2] * len(texts)),
        "prompt_tokens": np.int32([4]),
        "details_json": np.array([json.dumps(details or {}).encode()] * len(texts), dtype=np.object_),
    }


def events(found: MediaAnswer) -> list[Any]:
    """What a stream tells; its last event is the end."""
    assert (found.type, found.json) == ("text/event-stream", None)
    *lines, end, nothing = found.content.decode().split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_completion() -> None:
    call = call_at(COMPLETIONS, prompt="a", model="gpt", max_tokens=5, n=2, user="me", top_p=0.5, response_format=None)
    assert call.rows == [{"text_input": "a"}]
    assert call.parameters == {
        "max_new_tokens": 5,
        "num_return_sequences": 2,
        "top_p": 0.5,
        "return_full_text": False,
    }
    told = call.decode([answer("b", "c")], Profile.TOOLKIT)
    assert told["object"] == "text_completion"
    assert told["model"] == "served"
    assert told["id"].startswith("cmpl-")
    assert told["choices"] == [
        {"index": 0, "text": "b", "finish_reason": "length", "logprobs": None},
        {"index": 1, "text": "c", "finish_reason": "length", "logprobs": None},
    ]
    assert told["usage"] == {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}


def test_several_prompts_are_one_batch_and_may_be_repeated_in_the_answer() -> None:
    call = call_at(COMPLETIONS, prompt=["a", "b"], echo=True)
    assert [row["text_input"] for row in call.rows] == ["a", "b"]
    choices = call.decode([answer("1"), answer("2")], Profile.TOOLKIT)["choices"]
    assert [(choice["index"], choice["text"]) for choice in choices] == [(0, "a1"), (1, "b2")]


@pytest.mark.parametrize(("reason", "told"), [("eos_token", "stop"), ("stop_sequence", "stop"), ("length", "length")])
def test_why_a_text_ended_in_openais_words(reason: str, told: str) -> None:
    for call in (call_at(COMPLETIONS, prompt="a"), call_at(CHAT, messages=ASKS)):
        (choice,) = call.decode([answer("b", reason=reason)], Profile.TOOLKIT)["choices"]
        assert choice["finish_reason"] == told


@pytest.mark.parametrize("stop", ["ne", ["x", "ne", "e t"]])
def test_what_stops_a_text_is_not_in_it(stop: Any) -> None:
    call = call_at(COMPLETIONS, prompt="one ", stop=stop)
    assert call.parameters["stop"] == ([stop] if isinstance(stop, str) else stop)
    (choice,) = call.decode([answer("done then", reason="stop_sequence")], Profile.TOOLKIT)["choices"]
    assert choice["text"] == "do"


def test_temperature_zero_is_the_likeliest_text() -> None:
    found = call_at(COMPLETIONS, prompt="a", temperature=0).parameters
    assert found == {"do_sample": False, "return_full_text": False}


@pytest.mark.parametrize("task", ["text-generation", "conversational"])
def test_a_chat(task: str) -> None:
    call = call_at(CHAT, task, messages=ASKS, max_completion_tokens=5, stream=False, reasoning_effort="low")
    (row,) = call.rows
    assert json.loads(next(iter(row.values()))) == ASKS  # type: ignore[arg-type]
    told = call.decode([answer("I", reason="eos_token")], Profile.TOOLKIT)
    assert told["object"] == "chat.completion"
    assert told["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "I"}, "finish_reason": "stop", "logprobs": None}
    ]
    assert told["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


def test_tools_are_shown_to_the_model_unless_none_may_be_used() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert call_at(CHAT, messages=ASKS, tools=tools, tool_choice="auto").parameters["tools"] == tools
    assert "tools" not in call_at(CHAT, messages=ASKS, tools=tools, tool_choice="none").parameters


def test_log_probabilities_of_a_completion() -> None:
    call = call_at(COMPLETIONS, prompt="ab", logprobs=1, echo=True)
    assert call.parameters["details"] is True
    assert call.parameters["top_n_tokens"] == 1
    details = {"tokens": TOKENS, "top_tokens": [[TOKENS[0]], [TOKENS[0]]]}
    (choice,) = call.decode([answer("é b", details=details)], Profile.TOOLKIT)["choices"]
    assert choice["logprobs"] == {
        "tokens": ["é", " b"],
        "token_logprobs": [-0.5, -1.0],
        "text_offset": [2, 3],
        "top_logprobs": [{"é": -0.5}, {"é": -0.5}],
    }


def test_log_probabilities_of_a_chat() -> None:
    call = call_at(CHAT, messages=ASKS, logprobs=True)
    assert call.parameters["details"] is True
    (choice,) = call.decode([answer("é b", details={"tokens": TOKENS})], Profile.TOOLKIT)["choices"]
    assert choice["logprobs"]["content"][0] == {
        "token": "é",
        "logprob": -0.5,
        "bytes": [0xC3, 0xA9],
        "top_logprobs": [],
    }
    assert "details" not in call_at(CHAT, messages=ASKS, logprobs=False).parameters


def test_a_stream_tells_the_same() -> None:
    call = call_at(CHAT, messages=ASKS, stream=True, stream_options={"include_usage": True})
    text, usage = events(call.decode([answer("I")], Profile.TOOLKIT))
    assert text["object"] == usage["object"] == "chat.completion.chunk"
    assert text["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": "I"}, "finish_reason": "length", "logprobs": None}
    ]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 6)
    (text,) = events(call_at(COMPLETIONS, prompt="a", stream=True).decode([answer("b")], Profile.TOOLKIT))
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", "b")


@pytest.mark.parametrize(
    ("path", "root", "says"),
    [
        (COMPLETIONS, {}, '"prompt" must be'),
        (COMPLETIONS, {"prompt": []}, '"prompt" must be'),
        (COMPLETIONS, {"prompt": [1, 2]}, "token numbers"),
        (COMPLETIONS, {"prompt": "a", "echo": 1}, '"echo" must be true or false'),
        (COMPLETIONS, {"prompt": "a", "logprobs": "x"}, '"logprobs" must be'),
        (COMPLETIONS, {"prompt": "a", "suffix": "b"}, '"suffix" is not supported'),
        (COMPLETIONS, {"prompt": "a", "nonsense": 1}, "unknown parameter 'nonsense'"),
        (CHAT, {}, '"messages" must be'),
        (CHAT, {"messages": "hi"}, '"messages" must be'),
        (CHAT, {"messages": ["hi"]}, '"messages" must be'),
        (CHAT, {"messages": [{"role": "user"}]}, 'no "content"'),
        (CHAT, {"messages": ASKS, "stream": "yes"}, '"stream" must be true or false'),
        (CHAT, {"messages": ASKS, "stream": True, "stream_options": "x"}, '"stream_options" must be an object'),
        (CHAT, {"messages": ASKS, "tool_choice": "required"}, "tool_choice"),
        (CHAT, {"messages": ASKS, "response_format": {"type": "json_object"}}, '"response_format" is not supported'),
        (CHAT, {"messages": ASKS, "logit_bias": {"1": 5}}, '"logit_bias" is not supported'),
        (GENERATE, {"inputs": ["a"]}, '"inputs" must be a text'),
        (GENERATE, {"inputs": "a", "parameters": [1]}, '"parameters" must be an object'),
    ],
)
def test_wrong_bodies(path: str, root: dict[str, Any], says: str) -> None:
    with pytest.raises(PayloadError) as caught:
        call_at(path, **root)
    assert says in str(caught.value)


def test_generate_answers_one_object_with_the_new_text() -> None:
    call = call_at(GENERATE, inputs="a", parameters={"max_new_tokens": 3, "temperature": None})
    assert call.parameters == {"max_new_tokens": 3, "return_full_text": False, "do_sample": False}
    assert call.decode([answer("b")], Profile.TOOLKIT) == {"generated_text": "b"}
    assert "do_sample" not in call_at(GENERATE, inputs="a", parameters={"temperature": 0.5}).parameters

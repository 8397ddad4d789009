"""Generated models of text-generation and conversational, against transformers' own pipeline on the same weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import generated
from tests.models.causal import CHAT_TEMPLATE, PROMPT, WINDOW
from transformers import pipeline
from triton_python_backend_utils import InferenceRequest

from hf_runtime.chat import PLAIN_TEMPLATE
from hub2triton.generate import generation
from hub2triton.generate.options import Options
from hub2triton.shim import tensors
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tasks.spec import Call, Profile
from hub2triton.tensor import PARAMETERS, DataType

FAMILIES = ["gpt2_text", "llama_ends", "qwen2_chat"]
PROMPTS = [
    PROMPT,
    "a",
    "the sun is warm and the river is long and the people in the street walk to the sea. the",
    "x 🙂",
]
GREEDY = {"do_sample": False, "max_new_tokens": 12}
USER = {"role": "user", "content": "who is the teacher?"}
CHATS = [
    [USER],
    [{"role": "system", "content": "be good and help the people of the city with their school"}, USER],
    [USER, {"role": "assistant", "content": "the old man"}],
    [USER, {"role": "assistant", "content": "he"}, {"role": "user", "content": "why?"}],
]


class Served:
    """A generated model, asked as the shim asks Triton."""

    def __init__(self, task: str, folder: Path, output: Path, **settings: str) -> None:
        name = f"{task}-{folder.name}"
        plan = generation.plan(Options(model=str(folder), output=output, task=task, name=name))
        generation.write(plan, force=False)
        config = output / name / "config.pbtxt"
        for key, value in settings.items():
            told = [line for line in config.read_text().splitlines() if f'key: "{key}"' in line]
            assert len(told) == 1
            own = f'parameters {{ key: "{key}" value {{ string_value: {json.dumps(value)} }} }}'
            config.write_text(config.read_text().replace(told[0], own))
        self.spec, self.outputs = plan.spec, plan.variant.outputs
        self.model = generated.initialized(output / name)

    def call(self, inputs: Any, **parameters: Any) -> Call:
        return self.spec.encode(Payload.from_json({"inputs": inputs, "parameters": parameters}, Limits()))

    def requests(self, call: Call) -> list[InferenceRequest]:
        names = tuple(tensor.name for tensor in self.outputs)
        given = json.dumps(dict(call.parameters)).encode()
        own = self.spec.inputs[0].name
        return [
            InferenceRequest(
                {**arrays, PARAMETERS.name: np.full((len(arrays[own]), 1), given, dtype=np.object_)}, names
            )
            for arrays in tensors.chunks(call.rows, (*self.spec.inputs, PARAMETERS), self.spec.max_batch_size)
        ]

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        call = self.call(inputs, **parameters)
        responses = self.model.execute(self.requests(call))
        rows = [row for response in responses for row in tensors.answers(response.arrays, self.outputs)]
        return call.decode(rows, Profile.TOOLKIT)

    def error(self, inputs: Any, **parameters: Any) -> str:
        (response,) = self.model.execute(self.requests(self.call(inputs, **parameters)))
        assert response.refusal.code == response.refusal.INVALID_ARG, response.refusal
        return str(response.refusal.message)


Get = Callable[..., Any]


@pytest.fixture(scope="module")
def served(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Get:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda name, task="text-generation": Served(task, tiny(name), output))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Get:
    return functools.cache(lambda name: pipeline("text-generation", model=str(tiny(name)), device="cpu"))


def prompts(name: str) -> list[str]:
    return [*PROMPTS, ""] if name != "qwen2_chat" else PROMPTS  # which has no token to begin a text with


# ---- the same as the pipeline, alone and beside others


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_full_text": False},
        {"num_beams": 3},
        {"num_beams": 3, "num_return_sequences": 2, "length_penalty": -1.0, "early_stopping": True},
        {"num_beams": 2, "repetition_penalty": 1.7},
        {"repetition_penalty": 1.5},
        {"encoder_repetition_penalty": 1.8},
        {"no_repeat_ngram_size": 1},
        {"encoder_no_repeat_ngram_size": 1},
        {"min_new_tokens": 9},
        {"skip_special_tokens": False},
        {"clean_up_tokenization_spaces": True},
        {"prefix": "good night. "},
        {"add_special_tokens": False},
        {"max_new_tokens": 1},
    ],
    ids=lambda parameters: ",".join(parameters) or "greedy",
)
def test_the_likeliest_texts_are_the_pipelines(
    served: Get, reference: Get, name: str, parameters: dict[str, Any]
) -> None:
    asked = {**GREEDY, **parameters}
    texts = [text for text in prompts(name) if text or not {"add_special_tokens", "skip_special_tokens"} & asked.keys()]
    expected = reference(name)(texts, **asked)
    assert served(name)(texts, **asked) == expected
    for text, alone in zip(texts, expected, strict=True):
        assert served(name)(text, **asked) == alone


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("parameters", [{"max_length": 70}, {"max_length": 70, "min_length": 60, "prefix": "one two "}])
def test_lengths_with_the_prompt_are_each_rows_own(
    served: Get, reference: Get, name: str, parameters: dict[str, Any]
) -> None:
    asked = {"do_sample": False, **parameters}
    expected = reference(name)(PROMPTS, **asked)
    assert served(name)(PROMPTS, **asked) == expected


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"temperature": 1.7},
        {"temperature": 2},
        {"top_k": 3},
        {"top_k": 0, "top_p": 0.4},
        {"typical_p": 0.3, "min_p": 0.01},
        {"epsilon_cutoff": 0.01, "eta_cutoff": 0.01},
        {"repetition_penalty": 1.9},
        {"num_beams": 2},
        {"num_return_sequences": 1},
    ],
    ids=lambda parameters: ",".join(parameters) or "defaults",
)
def test_a_seed_gives_the_pipelines_text_again(
    served: Get, reference: Get, name: str, parameters: dict[str, Any]
) -> None:
    asked = {"do_sample": True, "max_new_tokens": 10, **parameters}
    expected = []
    for text in PROMPTS:
        torch.manual_seed(7)
        floats = {key: float(value) if key == "temperature" else value for key, value in asked.items()}
        expected.append(reference(name)(text, **floats))
    assert served(name)(PROMPTS, seed=7, **asked) == expected
    assert served(name)(PROMPTS[::-1], seed=7, **asked) == expected[::-1]
    assert served(name)(PROMPTS[0], seed=7, **asked) == expected[0]
    assert served(name)(PROMPTS, seed=8, **asked) != expected


def test_what_is_not_said_is_as_the_pipeline_and_the_model_have_it(served: Get, reference: Get) -> None:
    for name in FAMILIES:  # drawn at 0.7, the likeliest by llama_ends' own word, drawn at qwen2_chat's own temperature
        torch.manual_seed(3)
        expected = reference(name)(PROMPT, max_new_tokens=20)
        assert served(name)(PROMPT, max_new_tokens=20, seed=3) == expected
    texts = {served("gpt2_text")(PROMPT, max_new_tokens=20)[0]["generated_text"] for _ in range(3)}
    assert len(texts) > 1
    # 256 tokens do not fit, and the pipeline fails; as many as there are positions for do
    room = WINDOW - len(reference("gpt2_text").tokenizer(PROMPT)["input_ids"]) + 1
    expected = reference("gpt2_text")(PROMPT, do_sample=False, max_new_tokens=room)
    assert served("gpt2_text")(PROMPT, do_sample=False) == expected


def test_a_temperature_turns_sampling_on(served: Get, reference: Get) -> None:
    torch.manual_seed(5)
    expected = reference("llama_ends")("a", do_sample=True, temperature=1.5, max_new_tokens=20)
    assert served("llama_ends")("a", temperature=1.5, max_new_tokens=20, seed=5) == expected
    assert served("llama_ends")("a", max_new_tokens=20) != expected


def test_several_drawn_texts_of_a_row_differ_and_come_again(served: Get) -> None:
    asked = {"do_sample": True, "max_new_tokens": 10, "num_return_sequences": 3, "seed": 7}
    together = served("gpt2_text")(PROMPTS, **asked)
    assert [len(row) for row in together] == [3] * len(PROMPTS)
    for text, row in zip(PROMPTS, together, strict=True):
        assert len({entry["generated_text"] for entry in row}) == 3
        assert served("gpt2_text")(text, **asked) == row


# ---- how a text ends


def test_a_text_ends_at_the_tokens_that_end_texts(served: Get) -> None:
    entries = served("llama_ends")([PROMPT, "a"], details=True, **GREEDY)
    told = [{name: entry["details"][name] for name in ("finish_reason", "generated_tokens")} for (entry,) in entries]
    assert told == [
        {"finish_reason": "eos_token", "generated_tokens": 6},
        {"finish_reason": "length", "generated_tokens": 12},
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_text_ends_behind_a_stop_text(served: Get, reference: Get, name: str) -> None:
    plain = reference(name)(PROMPTS, return_full_text=False, **GREEDY)
    for (entry,) in plain:
        middle = len(entry["generated_text"]) // 2
        stop = entry["generated_text"][middle : middle + 2]
        if "\ufffd" in stop:
            continue
        expected = reference(name)(PROMPTS, stop_sequence=[stop, "nowhere"], **GREEDY)
        for spelling in ("stop", "stop_sequence", "stop_sequences", "stopSequences", "stop_strings"):
            assert served(name)(PROMPTS, **{spelling: [stop, "nowhere", ""]}, **GREEDY) == expected
        found = served(name)(PROMPTS, stop=stop, details=True, return_full_text=False, **GREEDY)
        for (one,) in found:
            assert (one["details"]["finish_reason"] == "stop_sequence") == (stop in one["generated_text"])
        assert any(stop in one["generated_text"] for (one,) in found)


def test_a_stop_text_in_the_prompt_does_not_count(served: Get) -> None:
    (entry,) = served("gpt2_text")("the sun is", stop=["sun is"], details=True, **GREEDY)
    assert entry["details"]["finish_reason"] == "length"


def test_a_frequency_penalty_makes_repetitions_rarer(served: Get) -> None:
    def most(text: str) -> int:
        return max(text.count(letter) for letter in text)

    asked = {"do_sample": False, "max_new_tokens": 60, "return_full_text": False}
    plain, less = (served("gpt2_text")(PROMPTS, frequency_penalty=value, **asked) for value in (0, 2.0))
    assert plain == served("gpt2_text")(PROMPTS, **asked)
    assert sum(most(row[0]["generated_text"]) for row in less) < sum(most(row[0]["generated_text"]) for row in plain)
    assert served("gpt2_text")(PROMPTS[1], frequency_penalty=2.0, **asked) == less[1]


# ---- how long a prompt may be


@pytest.mark.parametrize("name", FAMILIES)
def test_a_prompt_is_truncated_on_the_left(
    served: Get, reference: Get, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = reference(name)
    monkeypatch.setattr(pipe.tokenizer, "truncation_side", "left")
    expected = pipe(PROMPTS, tokenizer_encode_kwargs={"truncation": True, "max_length": 4}, **GREEDY)
    assert served(name)(PROMPTS, truncate=4, **GREEDY) == expected
    assert expected != pipe(PROMPTS, **GREEDY)
    assert served(name)(PROMPTS, truncate=1, **GREEDY)


def test_a_prompt_longer_than_the_positions_is_refused_without_harm_to_others(served: Get) -> None:
    model = served("gpt2_text")
    long, call = "a " * WINDOW, model.call(PROMPT, **GREEDY)
    requests = [request for one in (call, model.call(long, **GREEDY), call) for request in model.requests(one)]
    first, bad, last = model.model.execute(requests)
    tokens = len(model.model.model.tokenizer(long)["input_ids"])
    assert f"the prompt has {tokens} tokens, but this model has {WINDOW} positions" in bad.refusal.message
    assert first.arrays["text_output"] == last.arrays["text_output"]
    assert model(long, truncate=WINDOW, **GREEDY)


def test_a_prompt_with_little_room_does_not_cut_its_neighbours(served: Get) -> None:
    model = served("gpt2_text")
    long = "a" * (WINDOW - 3)
    room = WINDOW - len(model.model.model.tokenizer(long)["input_ids"]) + 1
    (full,), (cut,) = model([PROMPT, long], details=True, **GREEDY)
    assert room == 4
    assert (full["details"]["generated_tokens"], cut["details"]["generated_tokens"]) == (12, room)
    assert model(PROMPT, details=True, **GREEDY) == [full]


def test_a_long_prompt_makes_room_where_it_is_told_to(
    served: Get, reference: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, long = reference("gpt2_text"), "the long street " * 40
    monkeypatch.setattr(pipe.tokenizer, "model_max_length", WINDOW)
    expected = pipe(long, handle_long_generation="hole", **GREEDY)
    assert served("gpt2_text")([long, "a"], handle_long_generation="hole", **GREEDY)[0] == expected
    asked = {**GREEDY, "max_new_tokens": WINDOW}
    assert "cannot make room for 128 new" in served("gpt2_text").error(long, handle_long_generation="hole", **asked)


def test_an_operator_sets_the_limit_and_the_defaults(
    tiny: Callable[[str], Path], reference: Get, tmp_path: Path
) -> None:
    defaults = json.dumps({"do_sample": False, "max_new_tokens": 5})
    model = Served("text-generation", tiny("gpt2_text"), tmp_path, max_new_tokens="7", generation_defaults=defaults)
    assert model(PROMPT) == reference("gpt2_text")(PROMPT, do_sample=False, max_new_tokens=5)
    assert model(PROMPT, max_new_tokens=7) == reference("gpt2_text")(PROMPT, do_sample=False, max_new_tokens=7)
    assert model(PROMPT, max_length=10) == reference("gpt2_text")(PROMPT, do_sample=False, max_length=10)
    assert "8 new tokens are more than the 7" in model.error(PROMPT, max_new_tokens=8)


def test_defaults_that_are_none_are_told_when_loading(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"generation_defaults in config\.pbtxt: unknown parameter 'sample'"):
        Served("text-generation", tiny("gpt2_text"), tmp_path, generation_defaults='{"sample": false}')


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"temperature": 0}, "'temperature' must be at least 0.0001, not 0"),
        ({"temperature": -1.0}, "'temperature' must be at least"),
        ({"top_p": 1.5}, "top_p"),
        ({"typical_p": 2}, "typical_p"),
        ({"repetition_penalty": 0}, "'repetition_penalty' must be between"),
        ({"num_beams": 17}, "'num_beams' must be between 1 and 16"),
        ({"num_return_sequences": 17}, "'num_return_sequences' must be between 1 and 16"),
        ({"num_return_sequences": 3, "do_sample": False}, "num_return_sequences 3 needs do_sample true, or num_beams"),
        ({"seed": 2**63}, "'seed' must be between 0"),
        ({"max_new_tokens": 5000}, "more than the 4096"),
        ({"max_length": 3}, "max_length 3 leaves no room for an answer: the prompt alone has 8 tokens"),
        ({"length_penalty": 1e4}, "'length_penalty' must be between"),
        ({"epsilon_cutoff": float("inf")}, "must be a number"),
    ],
)
def test_what_a_parameter_cannot_be(served: Get, parameters: dict[str, Any], words: str) -> None:
    assert words in served("gpt2_text").error(PROMPT, **parameters)


def test_a_model_that_cannot_begin_says_so(served: Get) -> None:
    assert "the prompt is empty" in served("qwen2_chat").error("")


# ---- chats


@pytest.mark.parametrize("task", ["conversational", "text-generation"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_full_text": False},
        {"continue_final_message": True},
        {"tools": [{"name": "a tool of the teacher"}]},
        {"num_beams": 2, "num_return_sequences": 2},
    ],
    ids=lambda parameters: ",".join(parameters) or "plain",
)
def test_chats_are_answered_as_by_the_pipeline(
    served: Get, reference: Get, task: str, parameters: dict[str, Any]
) -> None:
    asked = {**GREEDY, **parameters}
    expected = reference("qwen2_chat")(CHATS, **asked)
    model = served("qwen2_chat", task)
    assert model(CHATS, **asked) == expected
    for chat, alone in zip(CHATS, expected, strict=True):
        assert model(chat, **asked) == alone
    assert model(CHATS[:1], **asked) == expected[:1]


def test_the_parts_of_a_message_are_one_text(served: Get) -> None:
    model = served("qwen2_chat", "conversational")
    parts = [{"type": "text", "text": "who is "}, {"type": "text", "text": "the teacher?"}]
    whole = [{**USER, "content": parts}]
    (entry,) = model(whole, **GREEDY)
    (plain,) = model([USER], **GREEDY)
    assert entry["generated_text"] == [*whole, plain["generated_text"][-1]]
    begun = [USER, {"role": "assistant", "content": [{"type": "text", "text": "the old man"}]}]
    assert model(begun, **GREEDY) == model(CHATS[2], **GREEDY)


def test_a_model_without_a_template_gets_plain_lines(served: Get, reference: Get) -> None:
    pipe = reference("llama_ends")
    assert pipe.tokenizer.chat_template is None
    model = served("llama_ends", "conversational")
    (expected,) = pipe("user: who is the teacher?\nassistant:", return_full_text=False, **GREEDY)
    assert model([USER], return_full_text=False, **GREEDY) == [expected]
    (expected,) = pipe("user: who is the teacher?\nassistant: the old man", return_full_text=False, **GREEDY)
    assert model(CHATS[2], return_full_text=False, **GREEDY) == [expected]
    assert PLAIN_TEMPLATE != CHAT_TEMPLATE


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        ([{"role": "nobody", "content": "x"}], "chat template does not take these messages: nobody cannot speak"),
        ([{"role": 1, "content": "x"}], "message 0 must be an object"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part that is 'image_url'"),
        ([{"role": "user", "content": "a " * 200}], f"but this model has {WINDOW} positions"),
    ],
)
@pytest.mark.parametrize("task", ["conversational", "text-generation"])
def test_chats_that_cannot_be_answered(served: Get, task: str, chat: Any, words: str) -> None:
    model = served("qwen2_chat", task)
    assert words in model.error(chat, **GREEDY)
    assert model([USER], **GREEDY)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nix", "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ('[{"role": "user", "content": "\\ud800"}]', "not valid Unicode"),
        ("[]", "list of messages"),
        ("{}", "list of messages"),
        ("5", "list of messages"),
        ('[{"role": "user", "content": 5}]', 'message 0 must have a "content"'),
    ],
)
def test_what_is_no_chat_is_refused_by_the_model_itself(served: Get, value: str, words: str) -> None:
    for task in ("conversational", "text-generation"):
        model = served("qwen2_chat", task)
        (request,) = model.requests(model.call([USER]))
        request.inputs[model.spec.inputs[0].name][0][0] = value.encode()
        (response,) = model.model.execute([request])
        assert response.refusal.code == response.refusal.INVALID_ARG
        assert words in response.refusal.message


def test_outputs_have_the_declared_types_and_dims(served: Get) -> None:
    kinds = {DataType.BYTES: np.object_, DataType.INT32: np.int32}
    model = served("gpt2_text")
    (response,) = model.model.execute(model.requests(model.call(PROMPTS, num_return_sequences=2, max_new_tokens=3)))
    for tensor in model.outputs:
        array = response.arrays[tensor.name]
        assert array.dtype == kinds[tensor.datatype]
        assert array.shape == (len(PROMPTS), 2 if tensor.dims == (-1,) else 1)
    assert response.arrays["count"].tolist() == [[2]] * len(PROMPTS)
    read = [[len(ids)] for ids in model.model.model.tokenizer(PROMPTS)["input_ids"]]
    assert response.arrays["prompt_tokens"].tolist() == read

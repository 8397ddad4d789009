"""Texts continued and chats answered: text-generation and conversational, by causal models."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import openai_text, schema, tgi
from hub2triton.tasks.causal_parameters import CONVERSATIONAL_PARAMETERS, TEXT_PARAMETERS, generation_parameters
from hub2triton.tasks.generation import MAX_NEW_TOKENS, TOLD, entries
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TOKENIZER, WEIGHTS
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, Setting, TaskSpec, Variant
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hub2triton.tasks.parameter import ParameterSpec

Message = dict[str, Any]


def encode_texts(payload: Payload) -> Call:
    """A text or a list of texts to be continued; or chats, which the model answers by its chat template."""
    inputs = payload.inputs
    if _is_chat(inputs):
        return _chats(payload, TEXT_PARAMETERS, "text_input", {"chat": True})
    single = not isinstance(inputs, list)
    texts = [payload.text(inputs, '"inputs"')] if single else payload.texts(inputs, "inputs")
    if not texts:
        raise PayloadError('"inputs" is an empty list; send at least one text')
    parameters = generation_parameters(payload, TEXT_PARAMETERS)
    decode = partial(_decode_texts, parameters=parameters, single=single)
    return Call([{"text_input": text} for text in texts], parameters, decode)


def encode_chats(payload: Payload) -> Call:
    """A chat as a list of messages or in the form of old, or a list of chats."""
    if not _is_chat(payload.inputs):
        raise PayloadError(
            f'"inputs" must be a list of messages such as [{{"role": "user", "content": "…"}}], not '
            f"{kind(payload.inputs)}"
            if not isinstance(payload.inputs, list)
            else '"inputs" must hold messages such as {"role": "user", "content": "…"}, or lists of them'
        )
    return _chats(payload, CONVERSATIONAL_PARAMETERS, "messages_json", {})


def _is_chat(inputs: Any) -> bool:
    if isinstance(inputs, list) and inputs:
        return all(isinstance(item, dict) for item in inputs) or all(isinstance(item, list) for item in inputs)
    return isinstance(inputs, dict) and bool({"messages", "text"} & inputs.keys())


def _chats(payload: Payload, specs: Sequence[ParameterSpec], tensor: str, more: Mapping[str, Json]) -> Call:
    inputs = payload.inputs
    single = not (isinstance(inputs, list) and isinstance(inputs[0], list))
    given = [inputs] if single else inputs
    if len(given) > payload.limits.rows:
        raise PayloadError(f"inputs has {len(given):,} items; the limit is {payload.limits.rows:,}", status=413)
    chats = [_messages(payload, chat, "inputs" if single else f"inputs[{index}]") for index, chat in enumerate(given)]
    parameters = generation_parameters(payload, specs)
    rows: list[Row] = [{tensor: _json(payload, chat)} for chat in chats]
    decode = partial(_decode_chats, chats=chats, parameters=parameters, single=single)
    return Call(rows, {**parameters, **more}, decode)


def _messages(payload: Payload, value: Any, where: str) -> list[Message]:
    """The messages of a chat, in their own form; what the model cannot read in them, it says itself."""
    if isinstance(value, dict):
        value = value["messages"] if "messages" in value else _of_old(payload, value)
    if not isinstance(value, list) or not value:
        told = "is an empty list" if value == [] else f"must be a list of messages, not {kind(value)}"
        raise PayloadError(f'{where} {told}; send messages such as {{"role": "user", "content": "…"}}')
    for index, message in enumerate(value):
        if not isinstance(message, dict):
            raise PayloadError(f"{where}[{index}] must be a message, not {kind(message)}")
        if missing := [key for key in ("role", "content") if key not in message]:
            if missing == ["content"] and message.get("tool_calls"):
                continue
            raise PayloadError(f'{where}[{index}] has no "{missing[0]}"; a message has "role" and "content"')
        if not _is_content(message["content"]):
            raise PayloadError(
                f'{where}[{index}] must have a "content" that is a string or a list of parts such as '
                '{"type": "text", "text": "…"}'
            )
    return value


def _is_content(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    texts = (part.get("text", "") if isinstance(part, dict) else part for part in parts)
    return value is None or all(isinstance(text, str) for text in texts)


def _of_old(payload: Payload, value: Mapping[str, Any]) -> list[Message]:
    """The messages of `{"past_user_inputs": […], "generated_responses": […], "text": "…"}`."""
    asked = payload.texts(value.get("past_user_inputs") or [], "past_user_inputs")
    told = payload.texts(value.get("generated_responses") or [], "generated_responses")
    if len(asked) != len(told):
        raise PayloadError(
            f"past_user_inputs and generated_responses must be of one length, but have {len(asked)} and {len(told)}"
        )
    past = [
        {"role": role, "content": content}
        for pair in zip(asked, told, strict=True)
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*past, {"role": "user", "content": payload.text(value["text"], '"text"')}]


def _json(payload: Payload, chat: Sequence[Message]) -> str:
    return payload.text(json.dumps(chat, ensure_ascii=False), "a chat")


def _decode_texts(
    answers: Sequence[Answer],
    profile: Profile,  # noqa: ARG001
    *,
    parameters: Mapping[str, Json],
    single: bool,
) -> Json:
    """`[{"generated_text": …}]` for a text, a list of such lists for a list."""
    rows = [entries(answer, "generated_text", _texts(answer), parameters) for answer in answers]
    return rows[0] if single else rows


def _decode_chats(
    answers: Sequence[Answer],
    profile: Profile,  # noqa: ARG001
    *,
    chats: Sequence[Sequence[Message]],
    parameters: Mapping[str, Json],
    single: bool,
) -> Json:
    """As texts, with all messages as the generated text unless only the new text is asked for."""
    rows = []
    for answer, chat in zip(answers, chats, strict=True):
        texts = _texts(answer)
        if parameters.get("return_full_text", True):
            goes_on = parameters.get("continue_final_message", chat[-1]["role"] == "assistant")
            texts = [_with_answer(chat, text, goes_on=goes_on) for text in texts]
        rows.append(entries(answer, "generated_text", texts, parameters))
    return rows[0] if single else rows


def _with_answer(chat: Sequence[Message], text: str, *, goes_on: bool) -> list[Message]:
    if not goes_on:
        return [*chat, {"role": "assistant", "content": text}]
    content = chat[-1].get("content") or ""
    if isinstance(content, list):
        content = "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    return [*chat[:-1], {**chat[-1], "content": content + text}]


def _texts(answer: Answer) -> list[Json]:
    return [text.decode() for text in answer["text_output"]]


OUTPUTS = (
    TensorSpec("text_output", DataType.BYTES, (-1,), "the texts, as many as num_return_sequences says"),
    TensorSpec("prompt_tokens", DataType.INT32, (1,), "how many tokens they go on from"),
    *TOLD,
)
SETTINGS = (
    MAX_NEW_TOKENS,
    Setting(
        "generation_defaults",
        "{}",
        'What requests get that do not say, before generation_config.json: JSON such as {"do_sample": false}.',
    ),
)
HEADS = ("*ForCausalLM", "*ForConditionalGeneration", "*ForMaskedLM", "*ForPreTraining", "*Model")
"""A model that was saved without its head may have one nevertheless: often it is made of the embeddings."""

MAX_BATCH_SIZE = 8
"""Eight rows cost little more than one, since a step mostly reads the weights. More would make a short answer wait
for the longest of many, and every row takes memory for all of its tokens."""

OF_OLD = {"past_user_inputs": schema.array(schema.TEXT), "generated_responses": schema.array(schema.TEXT)}
CHATS = schema.either(
    schema.CHAT,
    schema.array(schema.CHAT, least=1),
    schema.record({"messages": schema.CHAT}),
    schema.record({"text": schema.TEXT}, OF_OLD),
)
GENERATED = schema.generated("generated_text", schema.either(schema.TEXT, schema.CHAT))
RESPONSE = schema.either(GENERATED, schema.array(GENERATED))

TEXT_GENERATION = TaskSpec(
    name="text-generation",
    summary="Continues texts; answers chats where the model has a chat template.",
    variants={Library.TRANSFORMERS: Variant("text_generation.py.jinja", OUTPUTS)},
    library=Library.TRANSFORMERS,
    architectures=("*ForCausalLM", "*LMHeadModel"),
    heads=HEADS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TensorSpec("text_input", DataType.BYTES, (1,), "one UTF-8 text per row, to be continued"),),
    parameters=TEXT_PARAMETERS,
    encode=encode_texts,
    schema=schema.Schema(schema.either(schema.TEXTS, CHATS), RESPONSE),
    endpoints=(
        openai_text.completions(encode_texts),
        openai_text.chat_completions(encode_texts),
        tgi.generate(encode_texts),
    ),
    root_forms=(("messages",),),
    example={"inputs": "Once upon a time", "parameters": {"max_new_tokens": 20, "do_sample": False}},
    max_batch_size=MAX_BATCH_SIZE,
    settings=SETTINGS,
)

CONVERSATIONAL = TaskSpec(
    name="conversational",
    summary="Answers chats.",
    variants={Library.TRANSFORMERS: Variant("conversational.py.jinja", OUTPUTS)},
    library=Library.TRANSFORMERS,
    heads=HEADS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TensorSpec("messages_json", DataType.BYTES, (1,), 'one chat per row: a JSON list of {"role": …, "content": …}'),
    ),
    parameters=CONVERSATIONAL_PARAMETERS,
    encode=encode_chats,
    schema=schema.Schema(CHATS, RESPONSE),
    endpoints=(openai_text.chat_completions(encode_chats),),
    root_forms=(("messages",),),
    example={
        "inputs": [{"role": "user", "content": "What is the capital of France?"}],
        "parameters": {"max_new_tokens": 20, "do_sample": False},
    },
    max_batch_size=MAX_BATCH_SIZE,
    settings=SETTINGS,
)

SPECS = (TEXT_GENERATION, CONVERSATIONAL)

"""OpenAI's completions and chat completions, answered by models of text-generation and conversational."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.causal_parameters import CONVERSATIONAL_PARAMETERS
from hub2triton.tasks.media import MediaAnswer
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.spec import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hub2triton.tasks.spec import Answer, Call, Json, Profile

    Ask = Callable[[Payload], Call]

SILENT = frozenset(
    {
        *("model", "prompt", "messages", "stream", "stream_options", "echo", "logprobs", "top_logprobs", "tool_choice"),
        *("user", "metadata", "store", "service_tier", "parallel_tool_calls", "tool_prompt", "reasoning_effort"),
    }
)
"""Keys of the body that are no parameters of the model."""

NEUTRAL: Mapping[str, Sequence[Any]] = {"response_format": ({"type": "text"},), "logit_bias": ({},), "suffix": ("",)}
"""What else clients send that asks for nothing."""

REASONS = {"eos_token": "stop", "stop_sequence": "stop", "length": "length"}
STREAM = "text/event-stream"

STEERING = schema.parameters(spec for spec in CONVERSATIONAL_PARAMETERS if spec.name != "return_full_text")
COMMON = {
    **dict.fromkeys(sorted(SILENT - {"prompt", "messages"}), schema.ANY),
    **STEERING,
    "max_tokens": STEERING["max_new_tokens"],
    "n": STEERING["num_return_sequences"],
    "stream": schema.FLAG,
    "stream_options": {"type": ["object", "null"]},
}
"""What both routes take; OpenAI's own names stand beside those of Hugging Face's parameters."""

CHOICE = {"index": schema.INTEGER, "finish_reason": schema.TEXT, "logprobs": {"type": ["object", "null"]}}


def _response(choice: Mapping[str, schema.JsonSchema]) -> schema.JsonSchema:
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    return schema.record(
        {
            **dict.fromkeys(("id", "object", "model"), schema.TEXT),
            "created": schema.INTEGER,
            "choices": schema.array(schema.record({**CHOICE, **choice})),
            "usage": schema.record(dict.fromkeys(counts, schema.INTEGER)),
        }
    )


COMPLETIONS = schema.Exchange(
    schema.record({"prompt": schema.TEXTS}, {**COMMON, "echo": schema.FLAG}, closed=True),
    _response({"text": schema.TEXT}),
    {"prompt": "Once upon a time", "max_tokens": 20},
    (STREAM,),
)
CHAT_COMPLETIONS = schema.Exchange(
    schema.record({"messages": schema.CHAT}, COMMON, closed=True),
    _response({"message": schema.MESSAGE}),
    {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 20},
    (STREAM,),
)


@dataclass(frozen=True)
class _Text:
    """One generated text, as an answer's tensors hold it."""

    text: str
    reason: str
    tokens: int
    details: Mapping[str, Any]


def completions(ask: Ask) -> Endpoint:
    """/v1/completions.

    Args:
        ask: Makes a call of a payload of texts in Hugging Face's form.
    """

    def encode(payload: Payload) -> Call:
        prompt = payload.root.get("prompt")
        if not isinstance(prompt, str) and not (isinstance(prompt, list) and prompt and isinstance(prompt[0], str)):
            raise PayloadError(
                '"prompt" must be a text or a list of texts; another model\'s token numbers mean nothing to this one'
            )
        prompts = prompt if isinstance(prompt, list) else [prompt]
        call = ask(_asked(payload, prompts, _logprobs(payload.root.get("logprobs"))))
        shown = prompts if _flag(payload, "echo") else [""] * len(prompts)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion"}
        return _told(payload, call, head, lambda text, row: _completion(text, shown[row]))

    return Endpoint("/v1/completions", encode, "Texts continued, as OpenAI's clients ask for it.", COMPLETIONS)


def chat_completions(ask: Ask) -> Endpoint:
    """/v1/chat/completions.

    Args:
        ask: Makes a call of a payload of messages in Hugging Face's form.
    """

    def encode(payload: Payload) -> Call:
        messages = payload.root.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(entry, dict) for entry in messages):
            raise PayloadError(f'"messages" must be a list of messages, not {kind(messages)}')
        choice = payload.root.get("tool_choice")
        if choice not in (None, "auto", "none"):
            raise PayloadError('"tool_choice" must be auto or none: this server does not force a call')
        if choice == "none":
            payload = replace(payload, root={key: value for key, value in payload.root.items() if key != "tools"})
        top = payload.root.get("top_logprobs") if _flag(payload, "logprobs") else None
        wanted = _logprobs(top or 0) if _flag(payload, "logprobs") else {}
        call = ask(_asked(payload, messages, wanted))
        streamed = _flag(payload, "stream")
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if streamed else "chat.completion",
        }
        return _told(payload, call, head, lambda text, _: _message(text, streamed=streamed))

    return Endpoint("/v1/chat/completions", encode, "Chats answered, as OpenAI's clients ask for it.", CHAT_COMPLETIONS)


def _asked(payload: Payload, inputs: list[Any], more: Mapping[str, Any]) -> Payload:
    """The body as a payload of Hugging Face's form."""
    root = payload.root
    parameters = {
        key: value
        for key, value in root.items()
        if key not in SILENT and value is not None and value not in NEUTRAL.get(key, ())
    }
    for key in NEUTRAL.keys() & parameters.keys():
        raise PayloadError(f'"{key}" is not supported by this server; leave it out')
    if parameters.get("temperature") == 0:  # OpenAI's way to ask for the likeliest text
        del parameters["temperature"]
        parameters["do_sample"] = False
    return replace(payload, inputs=inputs, parameters={**parameters, "return_full_text": False, **more}, root={})


def _told(payload: Payload, call: Call, head: dict[str, Json], choice: Callable[[_Text, int], dict[str, Json]]) -> Call:
    """The call, answered in OpenAI's form; where a stream is asked for, as the events of one, all at once."""
    stop = payload.root.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    streamed = _flag(payload, "stream")
    options = payload.root.get("stream_options") or {}
    if not isinstance(options, dict):
        raise PayloadError(f'"stream_options" must be an object, not {kind(options)}')

    def decode(answers: Sequence[Answer], _: Profile) -> Json:
        texts = [(_cut(text, stops), row) for row, answer in enumerate(answers) for text in _texts(answer)]
        choices = [{"index": index, **choice(text, row)} for index, (text, row) in enumerate(texts)]
        read = sum(int(answer["prompt_tokens"][0]) for answer in answers)
        new = sum(text.tokens for text, _ in texts)
        usage = {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}
        base = {**head, "created": int(time.time()), "model": payload.model, "system_fingerprint": ""}
        if not streamed:
            return {**base, "choices": choices, "usage": usage}
        events = [{**base, "choices": [one]} for one in choices]
        if options.get("include_usage"):
            events.append({**base, "choices": [], "usage": usage})
        lines = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
        return MediaAnswer("".join([*lines, "data: [DONE]\n\n"]).encode(), STREAM)

    return replace(call, decode=decode)


def _texts(answer: Answer) -> list[_Text]:
    columns = (answer[name] for name in ("text_output", "finish_reason", "generated_tokens", "details_json"))
    return [
        _Text(bytes(text).decode(), bytes(reason).decode(), int(tokens), json.loads(bytes(details)))
        for text, reason, tokens, details in zip(*columns, strict=True)
    ]


def _cut(text: _Text, stops: Sequence[str]) -> _Text:
    """The text before the first of the texts that end it, which OpenAI's answers do not hold."""
    found = [place for stop in stops if (place := text.text.find(stop)) >= 0]
    return replace(text, text=text.text[: min(found)]) if found else text


def _completion(text: _Text, prompt: str) -> dict[str, Json]:
    tokens = text.details.get("tokens")
    logprobs = None
    if tokens is not None:
        places = [sum(len(one["text"]) for one in tokens[:index]) for index in range(len(tokens))]
        tops = text.details.get("top_tokens") or [[]] * len(tokens)
        logprobs = {
            "tokens": [one["text"] for one in tokens],
            "token_logprobs": [one["logprob"] for one in tokens],
            "text_offset": [len(prompt) + place for place in places],
            "top_logprobs": [{one["text"]: one["logprob"] for one in top} for top in tops],
        }
    return {"text": prompt + text.text, "finish_reason": REASONS[text.reason], "logprobs": logprobs}


def _message(text: _Text, *, streamed: bool) -> dict[str, Json]:
    tokens = text.details.get("tokens")
    logprobs = None
    if tokens is not None:
        tops = text.details.get("top_tokens") or [[]] * len(tokens)
        logprobs = {
            "content": [
                {**_token(one), "top_logprobs": [_token(other) for other in top]}
                for one, top in zip(tokens, tops, strict=True)
            ]
        }
    said = {"role": "assistant", "content": text.text}
    return {"delta" if streamed else "message": said, "finish_reason": REASONS[text.reason], "logprobs": logprobs}


def _token(token: Mapping[str, Any]) -> dict[str, Json]:
    return {"token": token["text"], "logprob": token["logprob"], "bytes": list(token["text"].encode())}


def _logprobs(top: Any) -> dict[str, Any]:
    """The parameters that tell of tokens, and of so many others in the place of each."""
    if top is None or top is False:
        return {}
    if isinstance(top, bool) or not isinstance(top, int) or top < 0:
        raise PayloadError(f'"logprobs" must be a number of tokens, not {kind(top)}')
    return {"details": True, "top_n_tokens": top}


def _flag(payload: Payload, name: str) -> bool:
    value = payload.root.get(name)
    if value is not None and not isinstance(value, bool):
        raise PayloadError(f'"{name}" must be true or false, not {kind(value)}')
    return bool(value)

"""The route of text-generation-inference: /generate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hub2triton.tasks import schema
from hub2triton.tasks.causal_parameters import CONVERSATIONAL_PARAMETERS
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.spec import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub2triton.tasks.spec import Call

DEFAULTS = {"return_full_text": False, "do_sample": False}
"""What a request means that does not say; Hugging Face's pipelines mean the contrary."""

SAMPLING = frozenset({"temperature", "top_k", "top_p", "typical_p", "seed", "best_of"})

SCHEMA = schema.Exchange(
    schema.record(
        {"inputs": schema.TEXT},
        {
            "parameters": {
                "type": ["object", "null"],
                "properties": schema.parameters(CONVERSATIONAL_PARAMETERS),
                "additionalProperties": False,
            }
        },
    ),
    schema.record({"generated_text": schema.TEXT}, {"details": {"type": "object"}}),
    {"inputs": "Once upon a time", "parameters": {"max_new_tokens": 20}},
)


def generate(ask: Callable[[Payload], Call]) -> Endpoint:
    """/generate: one text in, one object out.

    Args:
        ask: Makes a call of a payload of one text in Hugging Face's form.
    """

    def encode(payload: Payload) -> Call:
        inputs, parameters = payload.root.get("inputs"), payload.root.get("parameters") or {}
        if not isinstance(inputs, str):
            raise PayloadError(f'"inputs" must be a text, not {kind(inputs)}')
        if not isinstance(parameters, dict):
            raise PayloadError(f'"parameters" must be an object, not {kind(parameters)}')
        drawn = any(parameters.get(name) is not None for name in SAMPLING)
        defaults = {key: value for key, value in DEFAULTS.items() if not (drawn and key == "do_sample")}
        given = {key: value for key, value in parameters.items() if value is not None}
        call = ask(replace(payload, inputs=inputs, parameters={**defaults, **given}, root={}))
        return replace(call, decode=lambda answers, profile: call.decode(answers, profile)[0])

    return Endpoint(
        "/generate", encode, "A text continued, as clients of text-generation-inference ask for it.", SCHEMA
    )

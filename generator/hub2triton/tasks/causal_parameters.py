"""The parameters of text-generation and conversational."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.generation import DETAILS, GENERATION
from hub2triton.tasks.parameter import ParameterSpec, merged, snake_case
from hub2triton.tasks.payload import Payload, PayloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHANGES: Mapping[str, Mapping[str, Any]] = {
    "max_new_tokens": {
        "description": "The most tokens to generate; default as generation_config.json says, else 256.",
        "aliases": ("max_tokens", "max_completion_tokens"),
    },
    "do_sample": {
        "description": "Draw tokens by their probability, or take the likeliest; default as generation_config.json "
        "says, else true, and true where a parameter of sampling such as temperature is given."
    },
    "temperature": {
        "description": "Evens out probabilities above 1, sharpens them below; default as generation_config.json says, "
        "else 0.7."
    },
    "num_return_sequences": {"aliases": ("n",)},
}
STEERING = tuple(replace(spec, **CHANGES.get(spec.name, {})) for spec in GENERATION)
FORM = (
    ParameterSpec("frequency_penalty", float, "Taken off a token's score for each time it was generated; default 0."),
    ParameterSpec("truncate", int, "Keep the last so many tokens of a prompt; default all.", minimum=1),
    ParameterSpec(
        "handle_long_generation",
        str,
        "hole: cut a prompt on the left until the new tokens fit behind it; default not.",
        choices=("hole",),
    ),
    ParameterSpec("prefix", str, "A text put before each prompt and not shown; default the model's own, else none."),
    ParameterSpec("add_special_tokens", bool, "The tokenizer's own around a prompt; default as it does by itself."),
    ParameterSpec("return_full_text", bool, "The prompt too (default), or the new text alone."),
    ParameterSpec("clean_up_tokenization_spaces", bool, "Remove spaces before punctuation; default the tokenizer's."),
    ParameterSpec("skip_special_tokens", bool, "Leave tokens such as the end of text out (default), or show them."),
    ParameterSpec("best_of", int, "Draw so many texts and answer with the likeliest; default 1.", minimum=1),
    *DETAILS,
)
CHAT = (
    ParameterSpec("tools", list, "JSON schemas of functions for the model's chat template.", objects=True),
    ParameterSpec("documents", list, "Texts for the model's chat template to quote from.", objects=True),
    ParameterSpec("continue_final_message", bool, "Go on with the last message; default where it is the assistant's."),
)
CONVERSATIONAL_PARAMETERS = (*STEERING, *FORM, *CHAT)
TEXT_PARAMETERS = (
    *CONVERSATIONAL_PARAMETERS,
    ParameterSpec("chat", bool, "The input is a chat, a JSON list of messages; the shim sets it for messages."),
)

UNSUPPORTED: Mapping[str, Sequence[Any]] = {
    "watermark": (False,),
    "grammar": (),
    "response_format": (),
    "adapter_id": (),
    "logprobs": (False,),
    "presence_penalty": (0,),
}
"""Parameters of other servers that no model here has, with the values that ask for nothing."""


def generation_parameters(payload: Payload, specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    """The parameters, without those of other servers that ask for nothing.

    Raises:
        PayloadError: One of those asks for something, or as `merged`.
    """
    kept = {}
    for key, value in payload.parameters.items():
        neutral = UNSUPPORTED.get(snake_case(key))
        if neutral is None:
            kept[key] = value
        elif value is not None and value not in neutral:
            raise PayloadError(f"parameter {key!r} is not supported by this task; leave it out")
    return merged(replace(payload, parameters=kept), specs)

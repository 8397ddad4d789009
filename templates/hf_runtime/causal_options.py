"""The parameters of a request for texts to be continued, and what holds where it does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from .details import DetailOptions
from .error import InvalidInput
from .generation import GenerateOptions
from .parameters import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS: dict[str, Any] = {"do_sample": True, "temperature": 0.7, "max_new_tokens": 256}
"""What transformers' text-generation pipeline does where neither caller nor model says otherwise."""


class CausalOptions(GenerateOptions, DetailOptions, total=False):
    """The parameters of a request for texts to be continued.

    Attributes:
        frequency_penalty: Taken off a token's score for each time it was generated.
        truncate: Keep the last so many tokens of a prompt.
        handle_long_generation: `hole` cuts a prompt on the left until the new tokens fit behind it.
        prefix: A text put before each prompt; it is not shown.
        add_special_tokens: Those that the tokenizer puts around a text.
        return_full_text: The prompt with its continuation (the default), or the continuation alone.
        clean_up_tokenization_spaces: Remove the spaces before punctuation.
        skip_special_tokens: Leave tokens such as the end of text out of the text (the default).
        best_of: Draw so many texts, and answer with the likeliest.
    """

    frequency_penalty: float
    truncate: int
    handle_long_generation: Literal["hole"]
    prefix: str
    add_special_tokens: bool
    return_full_text: bool
    clean_up_tokenization_spaces: bool
    skip_special_tokens: bool
    best_of: int


HINTS: dict[str, Any] = get_type_hints(GenerateOptions)


def defaults(text: str) -> dict[str, Any]:
    """The operator's, out of config.pbtxt.

    Raises:
        ValueError: Not JSON, or no parameters of generation.
    """
    try:
        return parse(text, HINTS)
    except InvalidInput as error:
        raise ValueError(f"parameter generation_defaults in config.pbtxt: {error}") from None


def length_in(layer: Mapping[str, Any], new: str, total: str, own: int) -> int | None:
    """A number of new tokens that some parameters tell by one of two names, one of which counts the prompt too."""
    if layer.get(new) is not None:
        return int(layer[new])
    return None if layer.get(total) is None else int(layer[total]) - own

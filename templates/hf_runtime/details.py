"""What a request may ask to be told of a generated text: each of its tokens, and how likely the model found it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .error import InvalidInput
from .token_scores import scores
from .token_texts import after, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from .token_scores import Scores
    from .torch_text_model import TorchTextModel

Details = dict[str, Any]
"""`tokens`, `prefill`, and `top_tokens` where they were asked for, as text-generation-inference writes them."""

MOST_TOP_TOKENS = 20


class DetailOptions(TypedDict, total=False):
    """The parameters of a request for details.

    Attributes:
        details: Tell the tokens of each text with their log-probabilities.
        decoder_input_details: Those of the prompt as well, where details are told.
        top_n_tokens: So many of the likeliest tokens in the place of each, where details are told.
    """

    details: bool
    decoder_input_details: bool
    top_n_tokens: int


def checked(options: DetailOptions) -> int:
    """The number of likeliest tokens that is asked for.

    Raises:
        InvalidInput: More of them than are told, or fewer than none.
    """
    top = options.get("top_n_tokens", 0)
    if not 0 <= top <= MOST_TOP_TOKENS:
        raise InvalidInput(f"parameter 'top_n_tokens' must be between 0 and {MOST_TOP_TOKENS}, not {top}")
    return top


def details(
    model: TorchTextModel,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    options: DetailOptions,
    encoded: Mapping[str, torch.Tensor] | None = None,
) -> list[Details]:
    """The details of texts.

    Args:
        model: That generated them.
        rows: The tokens that each text's decoder began with, at least one, and those that it generated.
        options: The request's.
        encoded: See `scores`.
    """
    whole = [[*read, *new] for read, new in rows]
    shows_prompt = options.get("decoder_input_details", False)
    begins = [1 if shows_prompt else len(read) for read, _ in rows]
    found = scores(model, whole, begins, checked(options), encoded)
    special = frozenset(model.tokenizer.all_special_ids)
    return [
        _details(model.tokenizer, special, ids, len(read), scored, options)
        for ids, (read, _), scored in zip(whole, rows, found, strict=True)
    ]


def _details(
    tokenizer: Any, special: frozenset[int], ids: list[int], read: int, scored: Scores, options: DetailOptions
) -> Details:
    new = len(ids) - read
    tokens = [
        {"id": token, "text": text, "logprob": logprob, "special": token in special}
        for token, text, logprob in zip(ids[read:], texts(tokenizer, ids, read), scored.chosen[-new:], strict=True)
    ]
    found: Details = {"prefill": [], "tokens": tokens}
    if options.get("decoder_input_details"):
        logprobs = [None, *scored.chosen[:-new]]
        found["prefill"] = [
            {"id": token, "text": text, "logprob": logprob}
            for token, text, logprob in zip(ids[:read], texts(tokenizer, ids[:read], 0), logprobs, strict=True)
        ]
    if options.get("top_n_tokens"):
        found["top_tokens"] = [
            [
                {
                    "id": token,
                    "text": after(tokenizer, ids[:place], token),
                    "logprob": value,
                    "special": token in special,
                }
                for token, value in top
            ]
            for place, top in enumerate(scored.top[-new:], start=read)
        ]
    return found

"""What was generated for one row: its text, and why it ended there."""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .decoding import text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True)
class Continuation:
    """A generated text.

    Attributes:
        finish_reason: `length`, `eos_token` or `stop_sequence`.
        ids: The tokens that were generated, the end of text included.
        details: More that was asked for; empty otherwise.
        others: Texts of the same prompt that were drawn as well, and are not the answer.
        prompt_tokens: How many tokens the model went on from.
    """

    text: str
    finish_reason: str
    ids: list[int]
    details: dict[str, Any] = field(default_factory=dict)
    others: tuple[Continuation, ...] = ()
    prompt_tokens: int = 0

    def behind(self, prompt: str) -> Continuation:
        """The same with a text before it."""
        return replace(self, text=prompt + self.text, others=tuple(other.behind(prompt) for other in self.others))

    def json(self) -> str:
        """The details, with those of the other texts."""
        others = [
            {
                "generated_text": other.text,
                "finish_reason": other.finish_reason,
                "generated_tokens": len(other.ids),
                **other.details,
            }
            for other in self.others
        ]
        told = {**self.details, "best_of_sequences": others} if others else self.details
        return json.dumps(told, ensure_ascii=False)


class Reader:
    """Reads generated rows, each of which may go on with padding behind its own end."""

    def __init__(self, tokenizer: Any, ends: Collection[int], stop: Sequence[str], **decoding: Any) -> None:
        """Takes the model's tokens for the end of a text, the texts to stop at, and what `decode` is to be told."""
        self.tokenizer, self.ends, self.stop, self.decoding = tokenizer, ends, stop, decoding

    def read(self, ids: list[int]) -> Continuation:
        """The new tokens of a row as text."""
        size = next((index + 1 for index, token in enumerate(ids) if token in self.ends), len(ids))
        reason = "eos_token" if size and ids[size - 1] in self.ends else "length"

        def stopped(size: int) -> bool:
            text = text_of(self.tokenizer, ids[:size])
            return any(one in text for one in self.stop)

        if self.stop and stopped(size):
            size, reason = bisect_left(range(size), True, key=stopped), "stop_sequence"
        return Continuation(str(self.tokenizer.decode(ids[:size], **self.decoding)), reason, ids[:size])


def ends(config: Any) -> set[int]:
    """The tokens that end a text, out of a model's generation_config."""
    found = config.eos_token_id
    return set(found if isinstance(found, list) else [] if found is None else [found])


def answers(rows: Sequence[Sequence[Continuation]], output: str = "text_output") -> list[dict[str, Any]]:
    """The outputs of a model that generates texts, a row's texts together."""
    return [
        {
            output: [new.text for new in row],
            "finish_reason": [new.finish_reason for new in row],
            "generated_tokens": [len(new.ids) for new in row],
            "prompt_tokens": row[0].prompt_tokens,
            "details_json": [new.json() for new in row],
        }
        for row in rows
    ]

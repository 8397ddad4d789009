"""What was generated for one row: its text, and why it ended there."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .decoding import text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True)
class Continuation:
    """A generated text.

    Attributes:
        finish_reason: `length`, `eos_token` or `stop_sequence`.
        tokens: How many were generated, the end of text included.
    """

    text: str
    finish_reason: str
    tokens: int


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
        return Continuation(str(self.tokenizer.decode(ids[:size], **self.decoding)), reason, size)


def answers(rows: Sequence[Sequence[Continuation]]) -> list[dict[str, Any]]:
    """The outputs of a text-generation or conversational model, a row's texts together."""
    return [
        {
            "text_output": [new.text for new in row],
            "finish_reason": [new.finish_reason for new in row],
            "generated_tokens": [new.tokens for new in row],
        }
        for row in rows
    ]

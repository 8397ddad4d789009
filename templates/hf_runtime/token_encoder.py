"""A plain transformers model: from texts to one vector for each of their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np

from .text_model import TextModel

if TYPE_CHECKING:
    from .settings import Settings


class TokenOptions(TypedDict, total=False):
    """The parameters of a request for token vectors.

    Attributes:
        truncate: Whether a text longer than the model's window is cut (the default) or refused.
        truncation_direction: The side that is cut; right where it is not given.
    """

    truncate: bool
    truncation_direction: Literal["left", "right"]


class TokenEncoder(TextModel):
    """The base model of a folder, without its head."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModel")

    def states(self, texts: list[str], **options: Unpack[TokenOptions]) -> list[np.ndarray[Any, Any]]:
        """The last hidden states of one batch of texts, special tokens included, without padding.

        Returns:
            For each text FP32 of shape [tokens, hidden size].

        Raises:
            InvalidInput: A text too long while `truncate` is false.
        """
        if not options.get("truncate", True):
            self.refuse_long(texts)
        self.tokenizer.truncation_side = options.get("truncation_direction", "right")
        rows = self.tokens(texts)
        if not any(row["input_ids"] for row in rows):  # only empty texts, and a tokenizer without special tokens
            return [np.zeros((0, self.config.hidden_size), dtype=np.float32) for _ in texts]
        states = self.run(rows)["last_hidden_state"]
        return [own[: len(row["input_ids"])] for row, own in zip(rows, states, strict=True)]

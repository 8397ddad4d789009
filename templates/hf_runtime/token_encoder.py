"""A plain transformers model: from texts to one vector for each of their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
from transformers import AutoModel

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
        super().__init__(settings, AutoModel)

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
        encoded = self.encode(texts)
        if not encoded["input_ids"].shape[1]:  # an empty text, and a tokenizer without special tokens such as GPT-2's
            return [np.zeros((0, self.config.hidden_size), dtype=np.float32) for _ in texts]
        states = self.forward(encoded).last_hidden_state.float().cpu()
        kept = encoded["attention_mask"].bool()
        return [row[own].numpy() for row, own in zip(states, kept, strict=True)]

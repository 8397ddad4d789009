"""The tokens of a text with what a model says of each, and where in the text they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .label_scores import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Array = np.ndarray[Any, Any]

Place = tuple[int, int]
"""The first character in the text, and the one behind the last."""


@dataclass(frozen=True)
class EntityToken:
    """A token of a text; special tokens are none.

    Attributes:
        word: As the vocabulary has it; an unknown one as the text has it.
        scores: Of each label, FP32 [labels].
        place: Where it is; None where the tokenizer does not tell.
        index: Its number among all tokens of its window, special ones included.
        inside: Whether it goes on with the word of the token before it.
    """

    word: str
    scores: Array
    place: Place | None
    index: int
    inside: bool


class EntityTokens:
    """What makes tokens of a model's windows."""

    def __init__(self, tokenizer: Any) -> None:
        """Takes a tokenizer.

        Args:
            tokenizer: One of transformers, or a PlainTokenizer.
        """
        self._tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._marks_parts = bool(backend and getattr(backend.model, "continuing_subword_prefix", None))

    def of(
        self, window: dict[str, Any], logits: Array, text: str, words: Sequence[Place] | None = None
    ) -> list[EntityToken]:
        """The tokens of one window.

        Args:
            window: What TextModel.tokens gave, with its special tokens' mask, and its offsets where there are any.
            logits: FP32 [tokens, labels].
            text: The whole text.
            words: Where its words are, if it was given as a list of them.
        """
        names = self._tokenizer.convert_ids_to_tokens(window["input_ids"])
        columns = zip(window["input_ids"], names, softmax(logits), self._places(window, words), strict=True)
        found = []
        for index, (number, name, scores, place) in enumerate(columns):
            if window["special_tokens_mask"][index]:
                continue
            if place is None:
                found.append(EntityToken(name, scores, place, index, inside=False))
            elif number == self._tokenizer.unk_token_id:
                found.append(EntityToken(text[slice(*place)], scores, place, index, inside=False))
            else:
                found.append(EntityToken(name, scores, place, index, inside=self._inside(name, place, text)))
        return found

    def _places(self, window: dict[str, Any], words: Sequence[Place] | None) -> list[Place] | list[None]:
        """Where the tokens of a window are in its text."""
        if "offset_mapping" not in window:
            return [None] * len(window["input_ids"])
        if words is None:
            return [(start, end) for start, end in window["offset_mapping"]]
        # Of a list of words the tokenizer tells places in each word.
        begins = [0 if word is None else words[word][0] for word in window["word_ids"]]
        return [
            (begin + start, begin + end) for begin, (start, end) in zip(begins, window["offset_mapping"], strict=True)
        ]

    def _inside(self, name: str, place: Place, text: str) -> bool:
        """Whether a token is a part of a word, and not its first one."""
        if self._marks_parts:  # such as by ##, which the text does not have
            return len(name) != len(text[slice(*place)])
        # Without marks a word is what stands between spaces, so that "day." is one.
        return place[0] > 0 and " " not in text[place[0] - 1 : place[0] + 1]

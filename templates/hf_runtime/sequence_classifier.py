"""A classifier of whole texts, or of pairs of texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import label_scores
from .batch import grouped
from .error import InvalidInput
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .label_scores import Function
    from .settings import Settings
    from .text_model import Tokens
    from .text_pair import TextPair

    Array = np.ndarray[Any, Any]

Truncation = bool | Literal["do_not_truncate", "longest_first", "only_first", "only_second"]
"""Whether what is too long is cut, or which text of a pair; true is longest_first."""

CANNOT_CUT = "Truncation error"
"""How the tokenizers' error begins where the text that they are to cut is not long enough for that, or not there."""


class SequenceClassifier(TextModel):
    """The model of a folder with its classification head.

    Attributes:
        labels: The model's own, in the order of its logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForSequenceClassification")
        self.labels = [self.config.id2label[index] for index in range(self.config.num_labels)]

    def tokenize(self, items: Sequence[TextPair], *, truncate: Truncation, max_length: int | None) -> list[Tokens]:
        """The tokens of each text or pair.

        Raises:
            InvalidInput: One is too long while it must not be cut, or only where that is not enough; it has no token at
                all; or `max_length` is too small.
        """
        size = self._size(max_length, pairs=any(item.pair is not None for item in items))
        rows: dict[int, Tokens] = {}
        for group in grouped(range(len(items)), key=lambda index: items[index].pair is None):
            texts = [items[index].text for index in group]
            seconds = [pair for index in group if (pair := items[index].pair) is not None]
            rows.update(zip(group, self._cut(texts, seconds or None, truncate, size), strict=True))
        longest = max(len(tokens["input_ids"]) for tokens in rows.values())
        if longest > self.window:
            raise InvalidInput(
                f"a text has {longest} tokens, but this model takes {self.window}; shorten it, or leave truncate on"
            )
        if not all(tokens["input_ids"] for tokens in rows.values()):
            raise InvalidInput("the text is empty, and this model has no token for an empty text; send some text")
        return [rows[index] for index in range(len(items))]

    def logits(self, rows: Sequence[Tokens]) -> Array:
        """What the model says of a batch of tokens: FP32 [rows, labels], on the CPU."""
        logits: dict[int, Array] = {}
        for group in grouped(range(len(rows)), key=lambda index: self._ends(rows[index])):
            logits.update(zip(group, self.run([rows[index] for index in group])["logits"], strict=True))
        return np.stack([logits[index] for index in range(len(rows))])

    def scores(self, logits: Array, function: Function | None) -> Array:
        """Logits [rows, labels] as scores: by `function`, or as the model's own kind asks for."""
        return label_scores.scores(logits, function or label_scores.function_of(self.config))

    def best(self, scores: Array, top_k: int | None) -> dict[str, Any]:
        """The labels of one row with their scores, the best first."""
        return label_scores.best(self.labels, scores, top_k)

    def _cut(self, texts: Sequence[str], pairs: Sequence[str] | None, truncate: Truncation, size: int) -> list[Tokens]:
        try:
            return self.tokens(texts, pairs, truncation=truncate, max_length=size)
        except Exception as error:  # the tokenizers have no class for it
            if not str(error).startswith(CANNOT_CUT):
                raise
            raise InvalidInput(
                f"a text has more than {size} tokens, and cutting it by {json.dumps(truncate)} is not enough; shorten "
                'it, or set truncation to "longest_first"'
            ) from None

    def _size(self, max_length: int | None, *, pairs: bool) -> int:
        special: int = self.tokenizer.num_special_tokens_to_add(pair=pairs)
        if max_length is not None and max_length <= special:
            raise InvalidInput(
                f"parameter 'max_length' must be at least {special + 1} for this model, not {max_length}"
            )
        return self.window if max_length is None else min(self.window, max_length)

    def _ends(self, tokens: Tokens) -> int:
        # BART and its kind read the class from the last end-of-sequence token, and refuse batches whose rows differ
        # in the number of them, as texts do in which somebody wrote that token out.
        return tokens["input_ids"].count(self.config.eos_token_id) if self.config.is_encoder_decoder else 0

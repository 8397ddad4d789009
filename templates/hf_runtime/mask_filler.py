"""A masked language model: which tokens fit where a text has its mask."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ranked
from .batch import Cut, in_sub_batches
from .error import InvalidInput
from .label_scores import softmax
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .text_model import Tokens

    Array = np.ndarray[Any, Any]

MAX_LOGITS = 2**28
"""Numbers that the head may give at once, 1 GiB as FP32: one for each token of the vocabulary and each of the texts, so
that a batch of long texts may have to be cut."""

SPELLINGS = ("[MASK]", "<mask>")
"""What callers write for a mask, whatever the model's own token is."""


class MaskFiller(TextModel):
    """The model of a folder with its head for masked tokens.

    Attributes:
        mask: The tokenizer's own mask token.
    """

    def __init__(self, settings: Settings) -> None:
        """Loads it.

        Raises:
            ValueError: The tokenizer has no mask token.
        """
        super().__init__(settings, "AutoModelForMaskedLM")
        if self.tokenizer.mask_token is None:
            raise ValueError("the model does not fit fill-mask: its tokenizer has no mask token. Choose another model")
        self.mask: str = self.tokenizer.mask_token
        self._overhead = settings.sub_batch_overhead

    def masked(self, text: str) -> str:
        """The text with the model's own mask token, also where it was written as other models do.

        Raises:
            InvalidInput: It has no mask.
        """
        if self.mask in text:
            return text
        for spelling in SPELLINGS:
            text = text.replace(spelling, self.mask)
        if self.mask not in text:
            raise InvalidInput(f"the text has no mask; write {self.mask} where this model is to fill in a word")
        return text

    def fill(
        self, texts: Sequence[str], *, top_k: int, targets: list[str] | None, truncate: bool
    ) -> list[dict[str, Any]]:
        """The best tokens for the masks of each text, as lists by output name: mask by mask, the best first.

        Raises:
            InvalidInput: A text too long while it must not be cut, or with no mask in what is left of it; `top_k` below
                1; targets of which none is a token.
        """
        if not truncate:
            self.refuse_long(texts)
        wanted = None if targets is None else self._ids(targets)
        rows = self.tokens(texts)
        if not all(self.tokenizer.mask_token_id in row["input_ids"] for row in rows):
            raise InvalidInput(
                f"the text has its {self.mask} behind the {self.window} tokens that this model reads; shorten the text"
            )
        longest = max(len(row["input_ids"]) for row in rows)
        return in_sub_batches(
            rows,
            lambda batch: self._fill(batch, top_k, wanted),
            length=lambda row: len(row["input_ids"]),
            cut=Cut(max(1, MAX_LOGITS // (longest * self.config.get_text_config().vocab_size)), self._overhead),
        )

    def _fill(self, rows: list[Tokens], top_k: int, wanted: Array | None) -> list[dict[str, Any]]:
        """What `fill` answers, for rows that go through the model at once; `wanted` are the only tokens to choose."""
        logits = self.run(rows)["logits"]
        answers = []
        for row, own in zip(rows, logits, strict=True):
            ids = np.array(row["input_ids"])
            masks = np.flatnonzero(ids == self.tokenizer.mask_token_id)
            probabilities = softmax(own[masks])
            if wanted is not None:
                probabilities = probabilities[:, wanted]
            count = ranked.limit(top_k, probabilities.shape[-1])
            chosen = np.stack([ranked.best(one, count) for one in probabilities])
            scores = np.take_along_axis(probabilities, chosen, axis=-1)
            answers.append(self._candidates(ids, masks, scores, chosen if wanted is None else wanted[chosen]))
        return answers

    def _candidates(self, ids: Array, masks: Array, scores: Array, tokens: Array) -> dict[str, Any]:
        """The answer for one text.

        Args:
            ids: Of its tokens, [tokens].
            masks: Where among them its masks are, [masks].
            scores: FP32 [masks, candidates].
            tokens: Of the same shape.
        """
        single = len(masks) == 1  # else the other masks stay visible, as transformers has it
        sequences = []
        for mask, row in zip(masks, tokens, strict=True):
            for token in row:
                filled = ids.copy()
                filled[mask] = token
                filled = filled[filled != self.tokenizer.pad_token_id]
                sequences.append(self.tokenizer.decode(filled.tolist(), skip_special_tokens=single))
        flat = tokens.ravel().tolist()
        return {
            "token": flat,
            "token_str": [self.tokenizer.decode([token]) for token in flat],
            "sequence": sequences,
            "score": scores.ravel(),
            "mask_index": np.repeat(np.arange(len(masks)), tokens.shape[1]),
        }

    def _ids(self, targets: list[str]) -> Array:
        """The tokens of the targets, each once; of one that is no token by itself, its first one."""
        ids = []
        for target in targets:
            token = self._vocabulary.get(target)
            if token is None:
                first = self.tokenizer(target, add_special_tokens=False, max_length=1, truncation=True)["input_ids"]
                if not first:
                    continue
                token = first[0]
            ids.append(token)
        if not ids:
            raise InvalidInput(
                "parameter 'targets' holds no word that this model has a token for; leave it out for all"
            )
        return np.array(list(dict.fromkeys(ids)))

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return dict(self.tokenizer.get_vocab())

"""A model that reads text: its tokenizer, its window, and one forward pass of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import engine, tokenizer
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .settings import Settings

    Array = np.ndarray[Any, Any]

Tokens = dict[str, Any]
"""One tokenized text without padding: `input_ids` and what else the tokenizer gives, a list for each."""


class TextModel:
    """The tokenizer and the model of a folder, whatever computes it.

    Attributes:
        engine: What computes the model.
        config: The model's own.
        tokenizer: It pads on the right; text is cut at the model's window.
        window: Tokens that the model reads at once, special tokens included.
    """

    def __init__(self, settings: Settings, auto_class: str) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: The class of transformers that has the model's head, such as
                AutoModelForSequenceClassification; AutoModel is the one without any.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.engine = engine.load(settings, auto_class, headless=auto_class == "AutoModel")
        self.config = self.engine.config
        self.inputs = self.engine.inputs
        self.tokenizer = tokenizer.load(settings)
        text_config = self.config.get_text_config()
        if getattr(text_config, "pad_token_id", None) is None:  # the heads of causal models find the last token by it
            text_config.pad_token_id = self.tokenizer.pad_token_id
        self.window: int = min(self.tokenizer.model_max_length, self.engine.positions)

    def tokens(
        self, texts: Sequence[str | list[str]], pairs: Sequence[str] | None = None, **options: Any
    ) -> list[Tokens]:
        """Tokenizes texts, or pairs, without padding; cut at the window unless told otherwise.

        With `return_overflowing_tokens` a long text gives several, each with its `overflow_to_sample_mapping`. With
        `is_split_into_words` texts are lists of words, and each also has its `word_ids`: for every token the word that
        it is a part of, or None.
        """
        options = {"truncation": True, "max_length": self.window, "verbose": False, **options}
        encoded = self.tokenizer(list(texts), None if pairs is None else list(pairs), **options)
        columns = dict(encoded)
        if options.get("is_split_into_words"):
            columns["word_ids"] = [encoded.word_ids(index) for index in range(len(encoded["input_ids"]))]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def pad(self, rows: Sequence[Tokens], length: int = 0) -> dict[str, Array]:
        """A batch of what `tokens` gave, by input name: INT64 [rows, tokens] each.

        Args:
            rows: One or more, with the same names.
            length: Tokens that each row has at least; it always has as many as the longest.
        """
        length = max(length, *(len(row["input_ids"]) for row in rows))
        values = {"input_ids": self.tokenizer.pad_token_id, "token_type_ids": self.tokenizer.pad_token_type_id}
        batch = {}
        for name in self.tokenizer.model_input_names:
            if name in rows[0]:
                batch[name] = np.full((len(rows), length), values.get(name, 0), dtype=np.int64)
                for place, row in zip(batch[name], rows, strict=True):
                    place[: len(row[name])] = row[name]
        return batch

    def run(self, rows: Sequence[Tokens]) -> dict[str, Array]:
        """What the model gives for a batch of what `tokens` gave, by transformers' names: FP32 [rows, …] each."""
        return self.engine.run(self.pad(rows))

    def refuse_long(self, texts: Iterable[str]) -> None:
        """Raises InvalidInput where a text has more tokens than the window."""
        for tokens in self.tokens(list(texts), truncation=False):
            if len(tokens["input_ids"]) > self.window:
                raise InvalidInput(
                    f"a text has {len(tokens['input_ids'])} tokens, but this model takes {self.window}; shorten it, or "
                    "leave truncate on"
                )

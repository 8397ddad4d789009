"""A torch model that reads text: its tokenizer, its window, and one forward pass of a batch."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModel, AutoTokenizer

from . import checkpoint, torch_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings

Tokens = dict[str, Any]
"""One tokenized text without padding: `input_ids` and what else the tokenizer gives, a list for each."""


class TextModel:
    """The tokenizer and the model of a folder.

    Attributes:
        tokenizer: It pads on the right; text is cut at the model's window.
        model: In evaluation mode, on the instance's device.
        config: The model's own.
        window: Tokens that the model reads at once, special tokens included.
    """

    def __init__(self, settings: Settings, auto_class: Any) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: Such as transformers' AutoModelForSequenceClassification.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.device = settings.device
        self.tokenizer = AutoTokenizer.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
        self.model = checkpoint.load(settings, auto_class, headless=auto_class is AutoModel)
        self.config = self.model.config
        # Some tokenizers give inputs that their model does not take, such as DistilBERT's token_type_ids.
        self.inputs = set(inspect.signature(self.model.forward).parameters)
        torch_text.allow_padding(self.tokenizer)
        text_config = self.config.get_text_config()
        if getattr(text_config, "pad_token_id", None) is None:  # the heads of causal models find the last token by it
            text_config.pad_token_id = self.tokenizer.pad_token_id
        self.tokenizer.padding_side = "right"  # on the left it would move the tokens to other positions
        self.window = min(self.tokenizer.model_max_length, torch_text.positions(self.model))

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None, **options: Any) -> Any:
        """Tokenizes a batch, or one of pairs: padded to the longest, and cut at the window unless told otherwise."""
        options = {"padding": True, "truncation": True, "max_length": self.window, **options}
        return self.tokenizer(list(texts), None if pairs is None else list(pairs), return_tensors="pt", **options)

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

    def pad(self, rows: Sequence[Tokens]) -> Any:
        """A batch for `forward` of what `tokens` gave, padded to the longest."""
        names = [name for name in self.tokenizer.model_input_names if name in rows[0]]
        columns = {name: [row[name] for row in rows] for name in names}
        return self.tokenizer.pad(columns, padding=True, return_tensors="pt", verbose=False)

    @torch.inference_mode()
    def forward(self, encoded: Any) -> Any:
        """What the model gives for a batch of `encode` or `pad`; its tensors are on the model's device."""
        inputs: dict[str, Any] = {
            name: tensor.to(self.device) for name, tensor in encoded.items() if name in self.inputs
        }
        if "use_cache" in self.inputs:  # nothing comes after this pass
            inputs["use_cache"] = False
        return self.model(**inputs)

    def refuse_long(self, texts: Sequence[str]) -> None:
        """Raises InvalidInput where a text has more tokens than the window."""
        torch_text.refuse_long(self.tokenizer, texts, self.window)

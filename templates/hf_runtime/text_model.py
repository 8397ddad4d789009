"""A torch model that reads text: its tokenizer, its window, and one forward pass of a batch."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoTokenizer

from . import torch_device, torch_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings


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
        """
        torch_device.use_threads(settings)
        folder, trust = settings.weights(), settings.trust_remote_code
        self.device = settings.device
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        self.model = auto_class.from_pretrained(folder, trust_remote_code=trust, dtype=torch_device.dtype(settings))
        self.model.to(self.device).eval()
        self.config = self.model.config
        # Some tokenizers give inputs that their model does not take, such as DistilBERT's token_type_ids.
        self.inputs = set(inspect.signature(self.model.forward).parameters)
        torch_text.allow_padding(self.tokenizer)
        self.tokenizer.padding_side = "right"  # on the left it would move the tokens to other positions
        self.window = min(self.tokenizer.model_max_length, torch_text.positions(self.model))

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None, **options: Any) -> Any:
        """Tokenizes a batch, or one of pairs: padded to the longest, and cut at the window unless told otherwise."""
        options = {"padding": True, "truncation": True, "max_length": self.window, **options}
        return self.tokenizer(list(texts), None if pairs is None else list(pairs), return_tensors="pt", **options)

    @torch.inference_mode()
    def forward(self, encoded: Any) -> Any:
        """What the model gives for a batch that `encode` made; its tensors are on the model's device."""
        return self.model(**{name: tensor.to(self.device) for name, tensor in encoded.items() if name in self.inputs})

    def refuse_long(self, texts: Sequence[str]) -> None:
        """Raises InvalidInput where a text has more tokens than the window."""
        torch_text.refuse_long(self.tokenizer, texts, self.window)

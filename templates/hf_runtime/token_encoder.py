"""A plain transformers model: from texts to one vector for each of their tokens."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from . import torch_device, torch_text
from .error import InvalidInput

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


class TokenEncoder:
    """The base model of a folder, without its head."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        folder = settings.weights()
        trust = settings.trust_remote_code
        self.device = settings.device
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        self.model = AutoModel.from_pretrained(folder, trust_remote_code=trust, dtype=torch_device.dtype(settings))
        self.model.to(self.device).eval()
        # Some tokenizers give inputs that their model does not take, such as DistilBERT's token_type_ids.
        self.inputs = set(inspect.signature(self.model.forward).parameters)
        torch_text.allow_padding(self.tokenizer)
        self.tokenizer.padding_side = "right"  # on the left it would move the tokens to other positions
        self.window = min(self.tokenizer.model_max_length, torch_text.positions(self.model))

    @torch.inference_mode()
    def encode(self, texts: list[str], **options: Unpack[TokenOptions]) -> list[np.ndarray[Any, Any]]:
        """The last hidden states of one batch of texts, special tokens included, without padding.

        Returns:
            For each text FP32 of shape [tokens, hidden size].

        Raises:
            InvalidInput: A text too long while `truncate` is false.
        """
        if not options.get("truncate", True):
            self._refuse_long(texts)
        self.tokenizer.truncation_side = options.get("truncation_direction", "right")
        encoded = self.tokenizer(texts, padding=True, truncation=True, max_length=self.window, return_tensors="pt")
        if not encoded["input_ids"].shape[1]:  # an empty text, and a tokenizer without special tokens such as GPT-2's
            return [np.zeros((0, self.model.config.hidden_size), dtype=np.float32) for _ in texts]
        mask = encoded["attention_mask"].bool()
        states = self.model(
            **{name: tensor.to(self.device) for name, tensor in encoded.items() if name in self.inputs}
        ).last_hidden_state
        states = states.float().cpu()
        return [row[kept].numpy() for row, kept in zip(states, mask, strict=True)]

    def _refuse_long(self, texts: list[str]) -> None:
        for text in texts:
            tokens = len(self.tokenizer(text, verbose=False)["input_ids"])
            if tokens > self.window:
                raise InvalidInput(
                    f"a text has {tokens} tokens, but this model takes {self.window}; shorten it, or leave truncate on"
                )

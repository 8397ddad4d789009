"""A model of sentence-transformers that only that library can run, such as static embeddings or CLIP; with torch."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from sentence_transformers import SentenceTransformer

from . import torch_device, torch_text
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .settings import Settings

    Array = np.ndarray[Any, Any]


class LibraryEncoder:
    """The model of a folder; see sentence_encoder.Embedder."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        self._batch_size = settings.sub_batch_size
        self._model = SentenceTransformer(
            settings.weights(),
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": torch_device.dtype(settings), "use_safetensors": True},
        )
        self._model.truncate_dim = None  # that is done for all kinds of models at once
        self._fit_to_transformer()
        modules = [module for module in self._model if type(module).__name__ != "Normalize"]
        self._unnormalized = self._model
        if len(modules) < len(self._model):
            self._unnormalized = SentenceTransformer(modules=modules, device=settings.device)
        self.dimension: int | None = self._model.get_embedding_dimension()

    def embed(
        self, texts: Sequence[str], prompt: str, *, side: str, truncate: bool, normalized: bool, counted: bool
    ) -> tuple[Array, list[int]]:
        """The vectors of texts and how many tokens each has; see sentence_encoder.Embedder."""
        model = self._model if normalized else self._unnormalized
        lengths = [] if truncate and not counted else self._lengths([prompt + text for text in texts])
        window = self._model.max_seq_length or math.inf
        if not truncate and max(lengths, default=0) > window:
            raise InvalidInput(
                f"a text has {max(lengths)} tokens, but this model takes {window}; shorten it, or leave truncate on"
            )
        with self._cut_on(side):
            vectors: Array = model.encode(
                list(texts), prompt=prompt, batch_size=self._batch_size, show_progress_bar=False
            )
        counts = [int(min(length, window)) for length in lengths] if counted else [0] * len(texts)
        return vectors.astype(np.float32, copy=False), counts

    def _lengths(self, texts: list[str]) -> list[int]:
        """The tokens of each text, special ones included, before any is cut."""
        tokenizer = self._model.tokenizer
        if isinstance(tokenizer, tokenizers.Tokenizer):  # of static embeddings, which have no special tokens
            return [len(found.ids) for found in tokenizer.encode_batch(texts, add_special_tokens=False)]
        return [len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    def _fit_to_transformer(self) -> None:
        """Mends what the library gets wrong for a plain model: RoBERTa's window, and GPT-2's missing padding."""
        transformer = getattr(self._model[0], "auto_model", None)
        if transformer is None:  # static embeddings have neither
            return
        torch_text.allow_padding(self._model.tokenizer)
        positions = torch_text.positions(transformer)
        if self._model.max_seq_length is not None and self._model.max_seq_length > positions:
            self._model.max_seq_length = positions

    @contextmanager
    def _cut_on(self, side: str) -> Iterator[None]:
        tokenizer = self._model.tokenizer
        before = getattr(tokenizer, "truncation_side", None)
        if before is None:  # static embeddings have no window to cut at
            yield
            return
        tokenizer.truncation_side = side
        try:
            yield
        finally:
            tokenizer.truncation_side = before

"""A sentence-transformers model: from texts to one vector each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
from sentence_transformers import SentenceTransformer

from . import torch_device, torch_text
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import Settings

Vector = np.ndarray[Any, Any]
Side = Literal["left", "right"]


class EmbedOptions(TypedDict, total=False):
    """The parameters of a request for embeddings.

    Attributes:
        normalize: To unit length or not; where it is not given, the model's own modules decide.
        prompt_name: One of the prompts of the model's config_sentence_transformers.json.
        truncate: Whether a text longer than the model's window is cut (the default) or refused.
        truncation_direction: The side that is cut; right where it is not given.
        dimensions: Keep the first so many numbers of each vector.
    """

    normalize: bool
    prompt_name: str
    truncate: bool
    truncation_direction: Side
    dimensions: int


class SentenceEncoder:
    """The model of a folder; one without modules.json gets mean pooling, as the library itself does."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        self.batch_size = settings.sub_batch_size
        self.model = SentenceTransformer(
            settings.weights(),
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": torch_device.dtype(settings)},
        )
        self._fit_to_transformer()
        modules = [module for module in self.model if type(module).__name__ != "Normalize"]
        self.unnormalized = self.model
        if len(modules) < len(self.model):
            self.unnormalized = SentenceTransformer(
                modules=modules,
                device=settings.device,
                prompts=dict(self.model.prompts),  # type: ignore[arg-type]  # its own type admits None
                default_prompt_name=self.model.default_prompt_name,
            )

    def embed(self, texts: list[str], **options: Unpack[EmbedOptions]) -> Vector:
        """Embeds any number of texts as `SentenceTransformer.encode` does: FP32 of shape [len(texts), dimension].

        Raises:
            InvalidInput: No such prompt, too many dimensions, or a text too long while `truncate` is false.
        """
        prompt_name, dimensions = options.get("prompt_name"), options.get("dimensions")
        if prompt_name is not None and prompt_name not in self.model.prompts:
            known = ", ".join(self.model.prompts) or "none"
            raise InvalidInput(f"unknown prompt_name {prompt_name!r}; this model has: {known}")
        size = self.model.get_embedding_dimension()
        if dimensions is not None and not 1 <= dimensions <= (size or dimensions):
            raise InvalidInput(f"dimensions must be between 1 and {size}, not {dimensions}")
        if not options.get("truncate", True):
            torch_text.refuse_long(self.model.tokenizer, self._prompted(texts, prompt_name), self.model.max_seq_length)
        model = self.unnormalized if options.get("normalize") is False else self.model
        with self._cut_on(options.get("truncation_direction", "right")):
            vectors: Vector = model.encode(
                texts,
                prompt_name=prompt_name,
                batch_size=self.batch_size,
                normalize_embeddings=options.get("normalize", False),
                truncate_dim=dimensions,
                show_progress_bar=False,
            )
        return vectors

    def count(self, texts: list[str], **options: Unpack[EmbedOptions]) -> list[int]:
        """How many tokens of each text `embed` reads: the prompt's and the special ones included."""
        window = self.model.max_seq_length
        encoded = self.model.tokenizer(self._prompted(texts, options.get("prompt_name")), verbose=False)
        return [min(len(ids), window or len(ids)) for ids in encoded["input_ids"]]

    def similarity(self, source: Vector, others: list[Vector]) -> Vector:
        """How close vectors are to a source vector, by cosine: FP32 of shape [len(others)]."""
        if not others:
            return np.zeros(0, dtype=np.float32)
        matrix = np.stack(others)
        norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(source)
        cosines: Vector = (matrix @ source) / np.maximum(norms, np.finfo(np.float32).tiny)
        return cosines

    def _prompted(self, texts: list[str], prompt_name: str | None) -> list[str]:
        prompt = self.model.prompts.get(prompt_name or self.model.default_prompt_name or "") or ""
        return [prompt + text for text in texts]

    def _fit_to_transformer(self) -> None:
        """Mends what the library gets wrong for a plain model: RoBERTa's window, and GPT-2's missing padding."""
        transformer = getattr(self.model[0], "auto_model", None)
        if transformer is None:  # static embeddings have neither
            return
        torch_text.allow_padding(self.model.tokenizer)
        positions = torch_text.positions(transformer)
        if self.model.max_seq_length is not None and self.model.max_seq_length > positions:
            self.model.max_seq_length = positions

    @contextmanager
    def _cut_on(self, side: Side) -> Iterator[None]:
        tokenizer = self.model.tokenizer
        before, tokenizer.truncation_side = tokenizer.truncation_side, side
        try:
            yield
        finally:
            tokenizer.truncation_side = before

"""A sentence-transformers model, or a plain one: from texts to one vector each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack

import numpy as np

from . import sentence_modules
from .error import InvalidInput
from .pooled_model import PooledModel
from .prompts import Prompts
from .vector_module import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class Embedder(Protocol):
    """What makes vectors of texts.

    Attributes:
        dimension: Numbers in a vector; None where only the vectors tell.
    """

    dimension: int | None

    def embed(
        self, texts: Sequence[str], prompt: str, *, side: Side, truncate: bool, normalized: bool, counted: bool
    ) -> tuple[Vector, list[int]]:
        """The vectors of texts.

        Args:
            texts: Any number.
            prompt: What is put before each.
            side: Which end of a long text is cut off.
            truncate: Whether it may be cut.
            normalized: Whether modules that bring vectors to unit length do so.
            counted: Whether the tokens are counted.

        Returns:
            FP32 [texts, dimension], and the tokens of each text that were read, or 0: the prompt's and the special ones
            included.

        Raises:
            InvalidInput: A text is too long while it must not be cut.
        """


class SentenceEncoder:
    """The model of a folder; one without modules.json gets mean pooling, as sentence-transformers does it."""

    def __init__(self, settings: Settings) -> None:
        folder = Path(settings.weights())
        self._prompts = Prompts.read(folder)
        self._model = _embedder(settings, folder)
        sizes = [size for size in (self._prompts.truncate_dim, self._model.dimension) if size is not None]
        self._dimension = min(sizes) if sizes else None

    def embed(self, texts: list[str], **options: Unpack[EmbedOptions]) -> Vector:
        """Embeds any number of texts as `SentenceTransformer.encode` does: FP32 of shape [len(texts), dimension].

        Raises:
            InvalidInput: No such prompt, too many dimensions, or a text too long while `truncate` is false.
        """
        return self.embed_counted(texts, count_tokens=False, **options)[0]

    def embed_counted(
        self, texts: list[str], *, count_tokens: bool = True, **options: Unpack[EmbedOptions]
    ) -> tuple[Vector, list[int]]:
        """As `embed`, and how many tokens of each text it read: the prompt's and the special ones included.

        Args:
            texts: What is embedded.
            count_tokens: If not, every number is 0.
            options: The parameters of the request.
        """
        prompt = self._prompts.text(options.get("prompt_name"))
        dimensions, normalize = options.get("dimensions", self._dimension), options.get("normalize")
        if dimensions is not None and not 1 <= dimensions <= (self._dimension or dimensions):
            raise InvalidInput(f"dimensions must be between 1 and {self._dimension}, not {dimensions}")
        vectors, counts = self._model.embed(
            texts,
            prompt,
            side=options.get("truncation_direction", "right"),
            truncate=options.get("truncate", True),
            normalized=normalize is not False,
            counted=count_tokens,
        )
        vectors = vectors[:, :dimensions]
        return unit(vectors) if normalize else vectors, counts

    def similarity(self, source: Vector, others: list[Vector]) -> Vector:
        """How close vectors are to a source vector, by cosine: FP32 of shape [len(others)]."""
        if not others:
            return np.zeros(0, dtype=np.float32)
        matrix = np.stack(others)
        norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(source)
        cosines: Vector = (matrix @ source) / np.maximum(norms, np.finfo(np.float32).tiny)
        return cosines


def _embedder(settings: Settings, folder: Path) -> Embedder:
    modules = sentence_modules.read(folder, own_code=settings.trust_remote_code)
    if modules is not None:
        return PooledModel(settings, modules)
    from .library_encoder import LibraryEncoder

    return LibraryEncoder(settings)

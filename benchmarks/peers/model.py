"""The model in the library's own words: what a person writes behind any of the peers that bring no model code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Compute = Callable[[Sequence[str]], list[Any]]

NEW_TOKENS = 32
"""As the scenario of text-generation asks for."""


def load(task: str, folder: str) -> Compute:
    """A function that gives one answer for each text: a list of numbers, or what the pipeline says of it."""
    return LOADERS[task](folder)


def _sentence_embeddings(folder: str) -> Compute:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(folder, device="cpu")
    return lambda texts: encoder.encode(list(texts), show_progress_bar=False).tolist()


def _text_classification(folder: str) -> Compute:
    from transformers import pipeline

    classify = pipeline("text-classification", model=folder, device="cpu", batch_size=32)
    return lambda texts: list(classify(list(texts)))


def _text_generation(folder: str) -> Compute:
    from transformers import pipeline

    generate = pipeline("text-generation", model=folder, device="cpu")
    return lambda texts: [found[0] for found in generate(list(texts), max_new_tokens=NEW_TOKENS, do_sample=False)]


LOADERS: dict[str, Callable[[str], Compute]] = {
    "sentence-embeddings": _sentence_embeddings,
    "text-classification": _text_classification,
    "text-generation": _text_generation,
}


def payload(task: str, answers: list[Any]) -> Any:
    """Answers as Hugging Face's containers give them."""
    return {"embeddings": answers} if task == "sentence-embeddings" else answers

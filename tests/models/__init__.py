"""Tiny seeded models, one builder each: a function that writes a model into a folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def builder(name: str) -> Callable[[Path], None]:
    """The builder of a model, by its name, from the BUILDERS of any module here."""
    for module in pkgutil.iter_modules(__path__):
        for found in getattr(importlib.import_module(f"{__name__}.{module.name}"), "BUILDERS", ()):
            if found.__name__ == name:
                return found  # type: ignore[no-any-return]
    raise KeyError(name)


OF_TASK = {
    "conversational": "qwen2_chat",
    "feature-extraction": "bert_base",
    "fill-mask": "bert_masked",
    "question-answering": "bert_squad",
    "sentence-embeddings": "sentence_mean",
    "sentence-ranking": "bert_cross_encoder",
    "sentence-similarity": "sentence_mean",
    "summarization": "bart_summary",
    "table-question-answering": "tapas_wtq",
    "text-classification": "distilbert_sentiment",
    "text-generation": "gpt2_text",
    "text2text-generation": "flan_t5",
    "token-classification": "bert_entities",
    "translation": "marian",
    "zero-shot-classification": "roberta_nli",
}
"""A model for every task, on which the task's own example works."""

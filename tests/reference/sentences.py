"""Vectors and scores of sentences, by sentence-transformers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentence_transformers import CrossEncoder, SentenceTransformer
from tests.models.text import WINDOW


@functools.cache
def _encoder(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


@functools.cache
def _cross_encoder(folder: Path) -> CrossEncoder:
    return CrossEncoder(str(folder), device="cpu", max_length=WINDOW)


def embeddings(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"embeddings": [H] or [n][H]}`."""
    known = {"normalize": "normalize_embeddings", "dimensions": "truncate_dim", "prompt_name": "prompt_name"}
    return {"embeddings": _encoder(folder).encode(inputs, **{known[name]: parameters[name] for name in parameters})}


def similarity(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"similarities": [n]}`."""
    encoder = _encoder(folder)
    source = encoder.encode([inputs["source_sentence"]], **parameters)
    return {"similarities": encoder.similarity(source, encoder.encode(inputs["sentences"], **parameters))[0]}


def ranking(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"scores": number or [n]}` for pairs, `[{"score", "index"}]` for a query and its texts."""
    encoder = _cross_encoder(folder)
    if isinstance(inputs, list):
        return {"scores": encoder.predict(inputs)}
    ranks = encoder.rank(inputs["query"], inputs["texts"], **parameters)
    names = {"score": "score", "corpus_id": "index", "text": "text"}
    return [{names[key]: value for key, value in rank.items()} for rank in ranks]


REFERENCES = {
    "sentence-embeddings": embeddings,
    "sentence-similarity": similarity,
    "sentence-ranking": ranking,
}

"""Tiny sentence-transformers models, as the library saves them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tests.models import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

PROMPTS = {"query": "question: ", "document": "text: "}

DENSE_SIZE = 16
"""Numbers in a vector of `sentence_prompts`."""


def sentence_mean(folder: Path) -> None:
    """The mean of the tokens' vectors, at unit length."""
    with _transformer() as base:
        _save(folder, [base, Pooling(text.SIZE, pooling_mode="mean"), Normalize()])


def sentence_prompts(folder: Path) -> None:
    """The first token's vector through a dense layer, at its own length; with prompts, none of them the default."""
    with _transformer() as base, text.seeded():
        _save(folder, [base, Pooling(text.SIZE, pooling_mode="cls"), Dense(text.SIZE, DENSE_SIZE)], PROMPTS)


@contextmanager
def _transformer() -> Iterator[Transformer]:
    """The tiny BERT as a module; the library takes it only from a folder, which is gone afterwards."""
    with TemporaryDirectory() as folder:
        text.bert_base(Path(folder))
        yield Transformer(folder)


def _save(folder: Path, modules: list[nn.Module], prompts: Mapping[str, str] | None = None) -> None:
    model = SentenceTransformer(modules=modules, device="cpu", prompts=dict(prompts or {}))
    model.save(str(folder), create_model_card=False)


BUILDERS = (sentence_mean, sentence_prompts)

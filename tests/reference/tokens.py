"""Tasks that understand texts, by transformers' own pipelines."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from tests.models.text import WINDOW


@functools.cache
def pipeline(task: str, folder: Path) -> Any:
    """The pipeline of a model, which knows its window."""
    made = transformers.pipeline(task, model=str(folder), device="cpu")  # type: ignore[call-overload]
    made.tokenizer.model_max_length = min(made.tokenizer.model_max_length, WINDOW)  # some name none
    return made


def _of(task: str) -> Any:
    def answer(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
        return pipeline(task, folder)(inputs, **parameters)

    return answer


def text_classification(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """The pipeline fails with a text beyond the window unless it is told to cut it, which is the default here."""
    return pipeline("text-classification", folder)(inputs, **{"truncation": True, **parameters})


def fill_mask(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """The mask of the examples is BERT's, and the pipeline knows only the model's own."""
    made = pipeline("fill-mask", folder)
    texts = [inputs] if isinstance(inputs, str) else inputs
    return made([text.replace("[MASK]", made.tokenizer.mask_token) for text in texts], **parameters)


REFERENCES = {
    **{task: _of(task) for task in ("token-classification", "zero-shot-classification", "feature-extraction")},
    "text-classification": text_classification,
    "fill-mask": fill_mask,
}

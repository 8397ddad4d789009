"""Questions about texts: what the pipeline of transformers 4.57 made of a model's logits, one window at a time.

Transformers 5 has no such pipeline. That this one answers like it, tests/unit/test_reference.py holds against the
stored answers of tests/oracle.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tests.models.text import WINDOW
from transformers.pipelines.document_question_answering import decode_spans

Array = np.ndarray[Any, Any]


@functools.cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder), model.eval()


def answers(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"score", "start", "end", "answer"}`, or several where `top_k` asks for them or the inputs are a list."""
    if isinstance(inputs, list):
        found = [answers(folder, item, parameters) for item in inputs]
        return found if len(found) > 1 else found[0]
    context = inputs["context"]
    top_k, whole = parameters.get("top_k", 1), parameters.get("align_to_words", True)
    merged: dict[str, dict[str, Any]] = {}
    least = 1e6
    for encoding, start, end in _windows(folder, inputs, parameters):
        wanted = np.array([part == 1 for part in encoding.sequence_ids])
        beginning, ending = (_probabilities(logits, wanted | _is_first(folder, encoding)) for logits in (start, end))
        least = min(least, float(beginning[0] * ending[0]))
        beginning[0] = ending[0] = 0
        size = top_k * 2 + 10 if whole else top_k
        longest = parameters.get("max_answer_len", 15)
        wanted_or_first = (wanted | _is_first(folder, encoding)).astype(int)
        spans = decode_spans(beginning[None], ending[None], size, longest, wanted_or_first)
        for first, last, score in zip(*spans, strict=True):
            where = _place(encoding, int(first), int(last), whole=whole)
            text = context[slice(*where)]
            if text.lower() in merged:
                merged[text.lower()]["score"] += float(score)
            else:
                merged[text.lower()] = dict(
                    zip(("score", "start", "end", "answer"), (float(score), *where, text), strict=True)
                )
    found = list(merged.values())
    if parameters.get("handle_impossible_answer"):
        found.append({"score": least, "start": 0, "end": 0, "answer": ""})
    found = sorted(found, key=lambda answer: answer["score"], reverse=True)[:top_k]
    return found if len(found) > 1 else found[0]


def _windows(folder: Path, question: Mapping[str, str], parameters: Mapping[str, Any]) -> Any:
    """Each window with its logits, FP32 of shape [tokens]."""
    tokenizer, model = _loaded(folder)
    size = parameters.get("max_seq_len", min(WINDOW, 384))
    encoded = tokenizer(
        question["question"],
        question["context"],
        truncation="only_second",
        max_length=size,
        stride=parameters.get("doc_stride", min(size // 2, 128)),
        return_overflowing_tokens=True,
    )
    for index, encoding in enumerate(encoded.encodings):
        one = {name: torch.tensor([encoded[name][index]]) for name in tokenizer.model_input_names if name in encoded}
        if model.config.model_type == "distilbert":
            one.pop("token_type_ids", None)
        with torch.inference_mode():
            output = model(**one)
        yield encoding, output.start_logits[0].numpy(), output.end_logits[0].numpy()


def _is_first(folder: Path, encoding: Any) -> Array:
    return np.array(encoding.ids) == _loaded(folder)[0].cls_token_id


def _probabilities(logits: Array, wanted: Array) -> Array:
    kept = np.where(wanted, logits, -10000.0)
    powers = np.exp(kept - kept.max())
    return powers / powers.sum()


def _place(encoding: Any, first: int, last: int, *, whole: bool) -> tuple[int, int]:
    """From which character of the context to which, from the first token of an answer to its last."""
    if whole:
        try:
            words = encoding.token_to_word(first), encoding.token_to_word(last)
            return encoding.word_to_chars(words[0], 1)[0], encoding.word_to_chars(words[1], 1)[1]
        except (TypeError, ValueError):  # a token that is in no word
            pass
    return encoding.offsets[first][0], encoding.offsets[last][1]


REFERENCES = {"question-answering": answers}

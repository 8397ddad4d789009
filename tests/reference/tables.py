"""Questions about tables: transformers' pipeline with TAPAS, and `generate` with TAPEX.

The pipeline writes a table for TAPEX with a tokenizer that transformers 5 does not have; how that one did it is here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from tests.models.answering import TABLE_WINDOW

MAX_CELL = 15
"""Tokens of a cell that TapexTokenizer keeps."""


def answers(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"answer", …}` for a query, a list of them for a list of queries."""
    table = pd.DataFrame(inputs["table"], dtype=str)
    if not transformers.AutoConfig.from_pretrained(folder).is_encoder_decoder:
        return _selecting(folder)(table=table, query=inputs["query"], **parameters)
    queries = inputs["query"] if isinstance(inputs["query"], list) else [inputs["query"]]
    found = [{"answer": _written(folder, query, table, parameters)} for query in queries]
    return found if len(found) > 1 else found[0]


@functools.cache
def _selecting(folder: Path) -> Any:
    return transformers.pipeline("table-question-answering", model=str(folder), device="cpu")


@functools.cache
def _writing(folder: Path) -> tuple[Any, Any]:
    tokenizer = transformers.BartTokenizer.from_pretrained(folder)
    return tokenizer, transformers.BartForConditionalGeneration.from_pretrained(folder).eval()


def _written(folder: Path, query: str, table: pd.DataFrame, parameters: Mapping[str, Any]) -> str:
    tokenizer, model = _writing(folder)

    def cut(cell: str) -> str:
        tokens = tokenizer.tokenize(cell)
        return cell if len(tokens) < MAX_CELL else tokenizer.convert_tokens_to_string(tokens[:MAX_CELL])

    lines = ["col : " + " | ".join(table.columns)]
    lines += [f"row {row} : " + " | ".join(map(cut, cells)) for row, cells in enumerate(table.values.tolist(), 1)]
    text = f"{query} {' '.join(lines)}".lower()
    tokens = tokenizer([text], return_tensors="pt", max_length=TABLE_WINDOW, **parameters)
    with torch.inference_mode():
        ids = model.generate(**tokens)
    return str(tokenizer.batch_decode(ids, skip_special_tokens=True)[0])


REFERENCES = {"table-question-answering": answers}

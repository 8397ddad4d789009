"""Answers out of what is given: question-answering over a text, table-question-answering over a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import graph, schema
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TOKENIZER, WEIGHTS, items, with_tokenizer_arguments
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWERING = (
    ParameterSpec("top_k", int, "Answers to give, at most; default 1.", aliases=("topk",), minimum=1),
    ParameterSpec("doc_stride", int, "Tokens that two windows of a long context share; default 128.", minimum=0),
    ParameterSpec("max_answer_len", int, "Tokens in an answer, at most; default 15.", minimum=1),
    ParameterSpec("max_seq_len", int, "Tokens in a window; default 384, or as many as the model takes.", minimum=1),
    ParameterSpec("max_question_len", int, "Tokens of the question that are read; default 64.", minimum=1),
    ParameterSpec("handle_impossible_answer", bool, "Whether no answer may be the best one; default false."),
    ParameterSpec("align_to_words", bool, "Whether answers are whole words; default true."),
)
TABLE = (
    ParameterSpec(
        "sequential",
        bool,
        "With a list of queries: whether each goes on from the answers before it; default false.",
    ),
    ParameterSpec(
        "truncation",
        bool,
        "Cut a table that is longer than the model's window, or refuse it; by default models that select cells cut.",
        choices=("do_not_truncate", "drop_rows_to_fit"),
    ),
)
MAX_TURNS = 32
"""Queries in a conversation about a table: all of those before it go along with each."""

SPAN = schema.record({"score": schema.NUMBER, "start": schema.INTEGER, "end": schema.INTEGER, "answer": schema.TEXT})
ABOUT = {"table": schema.either({"type": "object"}, schema.array({"type": "object"}))}
QUERIES = [schema.record({key: schema.TEXTS, **ABOUT}) for key in ("query", "question")]


def encode_question(payload: Payload) -> Call:
    """A question and its context, lists of them, or a list of such objects."""
    payload = with_tokenizer_arguments(payload)
    inputs = payload.inputs
    if isinstance(inputs, list):
        rows, _ = items(payload, lambda value, where: _question(payload, value, where))
    else:
        values = _object(inputs, '"inputs"', ("question", "context"))
        questions, contexts = (_spread(payload, values[name], name) for name in ("question", "context"))
        if len(questions) != len(contexts) and 1 not in (len(questions), len(contexts)):
            raise PayloadError(
                f"question and context must be lists of the same length, but have {len(questions)} and {len(contexts)}"
            )
        size = max(len(questions), len(contexts))
        pairs = zip(_times(questions, size), _times(contexts, size), strict=True)
        rows = [{"question": question, "context": context} for question, context in pairs]
    for index, row in enumerate(rows):
        for name, text in row.items():
            if not text.strip():
                where = name if len(rows) == 1 else f"{name} {index}"
                raise PayloadError(f"the {where} is empty; send a question, and a context to find its answer in")
    return Call(rows, merged(payload, ANSWERING), decode_answers)


def encode_table(payload: Payload) -> Call:
    """A query, or a list of them, about a table; or a list of such objects."""
    payload = with_tokenizer_arguments(payload)
    parameters = merged(payload, TABLE)
    sequential = bool(parameters.get("sequential"))
    found, _ = items(payload, lambda value, where: _about_table(payload, value, where, sequential=sequential))
    return Call([row for rows in found for row in rows], parameters, decode_table)


def decode_answers(answers: Sequence[Answer], profile: Profile) -> Json:  # noqa: ARG001
    """`{"score", "start", "end", "answer"}`, the best answer to the question.

    A list of them where a question has several answers, and a list of all that where there are several questions.
    """
    rows = []
    for answer in answers:
        columns = zip(answer["score"], answer["start"], answer["end"], answer["answer"], strict=True)
        spans = [
            {"score": score, "start": start, "end": end, "answer": text.decode()} for score, start, end, text in columns
        ]
        rows.append(spans[0] if len(spans) == 1 else spans)
    return rows[0] if len(rows) == 1 else rows


def decode_table(answers: Sequence[Answer], profile: Profile) -> Json:
    """`{"answer", "coordinates", "cells", "aggregator"}`, in a list where there are several queries.

    Models without aggregators give no `aggregator`, and those that write their answers nothing but it; the
    JavaScript client's parser needs all keys.
    """
    rows = [_table_answer(answer, profile) for answer in answers]
    return rows[0] if len(rows) == 1 else rows


def _question(payload: Payload, value: Any, where: str) -> Row:
    values = _object(value, where, ("question", "context"))
    return {name: payload.text(values[name], f"{where}.{name}") for name in ("question", "context")}


def _about_table(payload: Payload, value: Any, where: str, *, sequential: bool) -> list[Row]:
    if isinstance(value, dict) and "query" not in value and "question" in value:
        value = {**value, "query": value["question"]}
    values = _object(value, where, ("query", "table"))
    queries = _spread(payload, values["query"], "query")
    if not all(query.strip() for query in queries):
        raise PayloadError("the query is empty; ask something about the table")
    table = values["table"]
    if not isinstance(table, dict | list):
        raise PayloadError(
            f'"table" must be an object of columns such as {{"name": ["Ann", "Bob"]}} or a list of rows, '
            f"not {kind(table)}"
        )
    if not sequential:
        text = _json(payload, table)  # the same for all of them
        return [{"query": query, "table_json": text} for query in queries]
    if len(queries) > MAX_TURNS:
        raise PayloadError(f"query has {len(queries)} items; with sequential the limit is {MAX_TURNS}", status=413)
    return [
        {"query": query, "table_json": _json(payload, {"table": table, "earlier_queries": queries[:index]})}
        for index, query in enumerate(queries)
    ]


def _object(value: Any, where: str, keys: tuple[str, str]) -> Mapping[str, Any]:
    """Checks that a value is an object with two keys."""
    form = f'{{"{keys[0]}": …, "{keys[1]}": …}}'
    if not isinstance(value, dict):
        raise PayloadError(f"{where} must be {form} or a list of such objects, not {kind(value)}")
    missing = [key for key in keys if value.get(key) is None]
    if missing:
        raise PayloadError(f"{where} has no {' and no '.join(map(repr, missing))}; it must be {form}")
    return value


def _spread(payload: Payload, value: Any, where: str) -> list[str]:
    """The texts of what is one text or a list of them, but an empty list."""
    texts = payload.texts(value, where) if isinstance(value, list) else [payload.text(value, f'"{where}"')]
    if not texts:
        raise PayloadError(f'"{where}" is an empty list; send at least one text')
    return texts


def _times(texts: list[str], size: int) -> list[str]:
    return texts * size if len(texts) == 1 else texts


def _json(payload: Payload, value: Any) -> str:
    return payload.text(json.dumps(value, ensure_ascii=False), '"table"')


def _table_answer(answer: Answer, profile: Profile) -> dict[str, Any]:
    told: dict[str, Any] = {"answer": answer["answer"][0].decode()}
    cells = [cell.decode() for cell in answer["cells"]]
    coordinates, aggregator = answer["coordinates"], answer["aggregator"][0].decode()
    written = len(cells) > len(coordinates)  # by a model that does not select cells
    if not written or profile is Profile.JAVASCRIPT:
        told |= {"coordinates": coordinates, "cells": cells}
    if aggregator or profile is Profile.JAVASCRIPT:
        told["aggregator"] = aggregator or "NONE"
    return told


QUESTION_ANSWERING = TaskSpec(
    name="question-answering",
    summary="The part of a text that answers a question.",
    variants={
        Library.TRANSFORMERS: Variant(
            "question_answering.py.jinja",
            (
                TensorSpec("answer", DataType.BYTES, (-1,), "the answers, the likeliest first; one is empty if none"),
                TensorSpec("score", DataType.FP32, (-1,), "how likely each answer is"),
                TensorSpec("start", DataType.INT32, (-1,), "each answer's first character in the context"),
                TensorSpec("end", DataType.INT32, (-1,), "the character behind each answer's last one"),
                COUNT,
            ),
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("*ForQuestionAnswering",),
    heads=("*ForQuestionAnswering",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TensorSpec("question", DataType.BYTES, (1,), "a UTF-8 question"),
        TensorSpec("context", DataType.BYTES, (1,), "the UTF-8 text to find its answer in, of any length"),
    ),
    parameters=ANSWERING,
    encode=encode_question,
    schema=schema.Schema(
        schema.either(
            schema.record({"question": schema.TEXTS, "context": schema.TEXTS}),
            schema.array(schema.record({"question": schema.TEXT, "context": schema.TEXT}), least=1),
        ),
        schema.either(SPAN, schema.array(schema.one_or_list(SPAN))),
    ),
    example={"inputs": {"question": "Where do I live?", "context": "My name is Merve and I live in İstanbul."}},
    max_batch_size=32,
    root_forms=(("question", "context"),),
    onnx=graph.of_text("question-answering"),
)

TABLE_QUESTION_ANSWERING = TaskSpec(
    name="table-question-answering",
    summary="The cells of a table that answer a query, or the answer in words.",
    variants={
        Library.TRANSFORMERS: Variant(
            "table_question_answering.py.jinja",
            (
                TensorSpec("answer", DataType.BYTES, (1,), "the answer as text"),
                TensorSpec("aggregator", DataType.BYTES, (1,), "what to do with the cells, or empty"),
                TensorSpec("cells", DataType.BYTES, (-1,), "the cells; of a model that writes its answer, the answer"),
                TensorSpec("coordinates", DataType.INT32, (-1, 2), "each cell's row and column, from 0"),
                COUNT,
            ),
            requirements=("pandas>=2",),
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("Tapas*",),
    heads=("TapasForQuestionAnswering", "*ForConditionalGeneration", "*LMHeadModel", "Bart*", "T5*", "EncoderDecoder*"),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TensorSpec("query", DataType.BYTES, (1,), "a UTF-8 query"),
        TensorSpec("table_json", DataType.BYTES, (1,), "the table as JSON: an object of columns or a list of rows"),
    ),
    parameters=TABLE,
    encode=encode_table,
    schema=schema.Schema(
        schema.items(schema.either(*QUERIES)),
        schema.one_or_list(
            schema.record(
                {"answer": schema.TEXT},
                {
                    "coordinates": schema.array(schema.array(schema.INTEGER, 2, 2)),
                    "cells": schema.array(schema.TEXT),
                    "aggregator": schema.TEXT,
                },
            )
        ),
    ),
    example={
        "inputs": {
            "query": "How many stars does the transformers repository have?",
            "table": {
                "Repository": ["Transformers", "Datasets", "Tokenizers"],
                "Stars": ["36542", "4512", "3934"],
                "Contributors": ["651", "77", "34"],
                "Programming language": ["Python", "Python", "Rust, Python and NodeJS"],
            },
        }
    },
    max_batch_size=32,
    root_forms=(("query", "table"), ("question", "table")),
)

SPECS = (TABLE_QUESTION_ANSWERING, QUESTION_ANSWERING)
"""Tables first: TapasForQuestionAnswering is for them."""

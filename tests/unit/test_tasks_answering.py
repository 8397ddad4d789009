from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.answering import MAX_TURNS
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Call, Profile

QUESTION = {"question": "who?", "context": "Ann"}
ROW = {"question": "who?", "context": "Ann"}
COLUMNS = {"name": ["Ann", "Bob"], "age": ["12", "7"]}
CELLS = {"cells": [b"Ann", b"Bob"], "coordinates": [[0, 0], [1, 0]]}


def call(task: str, body: dict[str, Any], **parameters: Any) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    payload = Payload.from_json({"parameters": parameters, **body}, Limits(rows=100, text_length=200), spec.root_forms)
    return spec.encode(payload)


def answering(inputs: Any, **parameters: Any) -> Call:
    return call("question-answering", {"inputs": inputs}, **parameters)


def table(inputs: Any, **parameters: Any) -> Call:
    return call("table-question-answering", {"inputs": inputs}, **parameters)


def spans(*texts: bytes) -> dict[str, Any]:
    size = len(texts)
    return {
        "answer": np.array(texts, dtype=object),
        "score": np.linspace(0.5, 0.25, size, dtype=np.float32),
        "start": np.arange(size, dtype=np.int32),
        "end": np.arange(size, dtype=np.int32) + 3,
    }


def shown(text: str, score: float = 0.5, start: int = 0) -> dict[str, Any]:
    return {"score": score, "start": start, "end": start + 3, "answer": text}


def cells(answer: bytes, aggregator: bytes, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "answer": np.array([answer], dtype=object),
        "aggregator": np.array([aggregator], dtype=object),
        "cells": np.array(found["cells"], dtype=object),
        "coordinates": np.array(found["coordinates"], dtype=np.int32).reshape(-1, 2),
    }


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))


# ---- question-answering


@pytest.mark.parametrize(
    ("inputs", "rows"),
    [
        (QUESTION, [ROW]),
        ([QUESTION], [ROW]),
        ([QUESTION, {"question": "why?", "context": "so"}], [ROW, {"question": "why?", "context": "so"}]),
        ({"question": ["who?"], "context": ["Ann"]}, [ROW]),
        (
            {"question": ["a", "b"], "context": ["c", "d"]},
            [{"question": "a", "context": "c"}, {"question": "b", "context": "d"}],
        ),
        (
            {"question": ["a", "b"], "context": "c"},
            [{"question": "a", "context": "c"}, {"question": "b", "context": "c"}],
        ),
        (
            {"question": "a", "context": ["c", "d"]},
            [{"question": "a", "context": "c"}, {"question": "a", "context": "d"}],
        ),
    ],
)
def test_questions_become_rows(inputs: Any, rows: list[dict[str, str]]) -> None:
    assert answering(inputs).rows == rows


def test_a_question_may_stand_at_the_root() -> None:
    found = call("question-answering", {**QUESTION, "top_k": 2})
    assert (found.rows, found.parameters) == ([ROW], {"top_k": 2})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], '"inputs" is an empty list'),
        ("who?", r'must be \{"question": …, "context": …\} or a list of such objects, not the string'),
        (None, "not null"),
        ({"question": "who?"}, "has no 'context'"),
        ({"question": None, "context": "Ann"}, "has no 'question'"),
        ({}, "has no 'question' and no 'context'"),
        ([QUESTION, "x"], r"inputs\[1\] must be"),
        ([QUESTION, {"question": 1, "context": "x"}], r"inputs\[1\].question must be a string, not the number 1"),
        ({"question": 1, "context": "x"}, '"question" must be a string, not the number 1'),
        ({"question": ["x", 1], "context": "x"}, r"question\[1\] must be a string"),
        ({"question": [], "context": "x"}, '"question" is an empty list'),
        ({"question": ["a", "b"], "context": ["x", "y", "z"]}, "the same length, but have 2 and 3"),
        ({"question": "", "context": "x"}, "the question is empty"),
        ({"question": "x", "context": " \n"}, "the context is empty"),
        ([QUESTION, {"question": "", "context": "x"}], "the question 1 is empty"),
    ],
)
def test_what_are_no_questions_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        answering(inputs)
    assert caught.value.status == 400


@pytest.mark.parametrize("inputs", [[QUESTION] * 101, {"question": "x", "context": "x" * 201}])
def test_too_much_to_answer_is_refused(inputs: Any) -> None:
    with pytest.raises(PayloadError) as caught:
        answering(inputs)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"topk": 2}, {"top_k": 2}),
        ({"topK": 2, "docStride": 3}, {"top_k": 2, "doc_stride": 3}),
        (
            {"max_answer_len": 1, "max_seq_len": 2, "max_question_len": 3, "align_to_words": False},
            {"max_answer_len": 1, "max_seq_len": 2, "max_question_len": 3, "align_to_words": False},
        ),
        ({"handle_impossible_answer": True, "padding": "max_length"}, {"handle_impossible_answer": True}),
    ],
)
def test_parameters_of_questions(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert answering(QUESTION, **given).parameters == wanted


@pytest.mark.parametrize("name", ["top_k", "max_answer_len", "max_seq_len", "max_question_len"])
def test_numbers_of_questions_have_a_least(name: str) -> None:
    with pytest.raises(PayloadError, match="at least 1"):
        answering(QUESTION, **{name: 0})


@pytest.mark.parametrize("profile", Profile)
def test_one_question_has_one_answer_and_many_have_a_list(profile: Profile) -> None:
    one, many = spans(b"Ann"), spans(b"Ann", b"\xc3\x9cte")
    two = [shown("Ann"), shown("Üte", 0.25, 1)]
    assert plain(answering(QUESTION).decode([one], profile)) == shown("Ann")
    assert plain(answering([QUESTION]).decode([one], profile)) == shown("Ann")
    assert plain(answering(QUESTION, top_k=2).decode([many], profile)) == two
    assert plain(answering([QUESTION] * 2, top_k=2).decode([one, many], profile)) == [shown("Ann"), two]
    assert list(answering(QUESTION).decode([one], profile)) == ["score", "start", "end", "answer"]


# ---- table-question-answering


@pytest.mark.parametrize("key", ["query", "question"])
@pytest.mark.parametrize("given", [COLUMNS, [{"name": "Ann", "age": 12}]])
def test_a_query_and_its_table_become_a_row(key: str, given: Any) -> None:
    for found in (table({key: "x", "table": given}), call("table-question-answering", {key: "x", "table": given})):
        (row,) = found.rows
        assert row["query"] == "x"
        assert json.loads(str(row["table_json"])) == given


def test_queries_become_rows() -> None:
    for inputs in ({"query": ["a", "b"], "table": COLUMNS}, [{"query": text, "table": COLUMNS} for text in "ab"]):
        assert [row["query"] for row in table(inputs).rows] == ["a", "b"]
    assert {row["table_json"] for row in table(inputs).rows} == {json.dumps(COLUMNS)}


def test_queries_of_a_conversation_bring_those_before_them() -> None:
    rows = table({"query": ["a", "b", "c"], "table": COLUMNS}, sequential=True).rows
    assert [json.loads(str(row["table_json"]))["earlier_queries"] for row in rows] == [[], ["a"], ["a", "b"]]
    with pytest.raises(PayloadError, match="limit is"):
        table({"query": ["a"] * (MAX_TURNS + 1), "table": COLUMNS}, sequential=True)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], '"inputs" is an empty list'),
        ("x", r'must be \{"query": …, "table": …\}'),
        ({"query": "x"}, "has no 'table'"),
        ({"table": COLUMNS}, "has no 'query'"),
        ({"query": "x", "table": None}, "has no 'table'"),
        ({"query": "x", "table": "y"}, '"table" must be an object of columns .* not the string'),
        ({"query": "", "table": COLUMNS}, "the query is empty"),
        ({"query": [], "table": COLUMNS}, '"query" is an empty list'),
        ({"query": ["x", 1], "table": COLUMNS}, r"query\[1\] must be a string"),
        ({"query": 1, "table": COLUMNS}, '"query" must be a string, not the number 1'),
    ],
)
def test_what_are_no_queries_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        table(inputs)


def test_a_table_that_is_too_large_is_refused() -> None:
    with pytest.raises(PayloadError, match=r'"table" has .* characters') as caught:
        table({"query": "x", "table": {"a": ["x" * 201]}})
    assert caught.value.status == 413


def test_parameters_of_tables() -> None:
    inputs = {"query": "x", "table": COLUMNS}
    given = table(inputs, model="http://x", padding="do_not_pad", sequential=True, truncation="drop_rows_to_fit")
    assert given.parameters == {"sequential": True, "truncation": "drop_rows_to_fit"}
    assert table(inputs, truncation=False, padding=True).parameters == {"truncation": False}
    with pytest.raises(PayloadError, match="truncation"):
        table(inputs, truncation="some")
    with pytest.raises(PayloadError, match="unknown parameter 'top_k'"):
        table(inputs, top_k=1)


@pytest.mark.parametrize(
    ("answer", "profile", "wanted"),
    [
        (cells(b"SUM > Ann, Bob", b"SUM", CELLS), Profile.TOOLKIT, ["answer", "coordinates", "cells", "aggregator"]),
        (cells(b"SUM > Ann, Bob", b"SUM", CELLS), Profile.JAVASCRIPT, ["answer", "coordinates", "cells", "aggregator"]),
        (cells(b"Ann, Bob", b"", CELLS), Profile.TOOLKIT, ["answer", "coordinates", "cells"]),
        (cells(b"", b"", {"cells": [], "coordinates": []}), Profile.PYTHON, ["answer", "coordinates", "cells"]),
        (cells(b"Ann", b"", {"cells": [b"Ann"], "coordinates": []}), Profile.TOOLKIT, ["answer"]),
        (cells(b"Ann", b"", {"cells": [b"Ann"], "coordinates": []}), Profile.PYTHON, ["answer"]),
    ],
)
def test_keys_of_an_answer_about_a_table(answer: dict[str, Any], profile: Profile, wanted: list[str]) -> None:
    found = table({"query": "x", "table": COLUMNS}).decode([answer], profile)
    assert list(found) == wanted
    assert found["answer"] == answer["answer"][0].decode()


def test_cells_and_their_coordinates() -> None:
    found = table({"query": "x", "table": COLUMNS}).decode([cells(b"", b"", CELLS)], Profile.TOOLKIT)
    assert plain(found) == {"answer": "", "coordinates": [[0, 0], [1, 0]], "cells": ["Ann", "Bob"]}


def test_the_javascript_client_gets_every_key() -> None:
    decode = table({"query": "x", "table": COLUMNS}).decode
    selected = plain(decode([cells(b"Ann, Bob", b"", CELLS)], Profile.JAVASCRIPT))
    assert (selected["aggregator"], selected["cells"]) == ("NONE", ["Ann", "Bob"])
    written = plain(decode([cells(b"Ann", b"", {"cells": [b"Ann"], "coordinates": []})], Profile.JAVASCRIPT))
    assert written == {"answer": "Ann", "coordinates": [], "cells": ["Ann"], "aggregator": "NONE"}


def test_a_list_of_one_query_has_one_answer_and_more_have_a_list() -> None:
    answer = cells(b"Ann", b"NONE", CELLS)
    one, two = ({"query": queries, "table": COLUMNS} for queries in (["a"], ["a", "b"]))
    assert isinstance(table(one).decode([answer], Profile.TOOLKIT), dict)
    assert len(table(two).decode([answer] * 2, Profile.TOOLKIT)) == 2

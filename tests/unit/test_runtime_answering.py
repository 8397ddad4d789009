"""Generated models that answer questions: out of texts as transformers 4 did, out of tables as its pipeline does."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from tests.asked import Asked
from tests.models.text import WINDOW
from tests.oracle import question_answering as oracle
from tests.oracle import record
from transformers.pipelines.document_question_answering import decode_spans
from triton_python_backend_utils import InferenceRequest

from hf_runtime import InvalidInput
from hf_runtime.answer_spans import span_scores
from hf_runtime.question_reader import MAX_WINDOWS
from hf_runtime.table import Table
from hub2triton.generate import generation
from hub2triton.generate.options import Options
from hub2triton.tasks.spec import Profile

EXTRACTIVE = ("bert_squad", "roberta_squad")
SELECTING = ("tapas_wtq", "tapas_sqa")
COLUMNS = {
    "city": ["paris", "a big old city", "", "Zoe\u0308 🙂"],
    "people": ["12", "3400", "7", "12"],
    "year": ["1999", "2024", "1870", "2001"],
}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
QUERIES = ["how many people?", "which city is old?", "the sum of people in the big city and the year", "paris"]
LONG_TABLE = {"city": ["a very big old city in the sun"] * 15 + ["paris"] * 12, "people": [str(n) for n in range(27)]}

Ask = Callable[[str, str], Asked]


@pytest.fixture(scope="module")
def ask(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Ask:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda task, name: Asked(task, tiny(name), output))


@pytest.fixture(scope="module")
def questions(ask: Ask) -> Callable[[str], Asked]:
    return functools.partial(ask, "question-answering")


@pytest.fixture(scope="module")
def tables(ask: Ask) -> Callable[[str], Asked]:
    return functools.partial(ask, "table-question-answering")


@pytest.fixture(scope="module")
def pipelines(tiny: Callable[[str], Path]) -> Callable[[str], Any]:
    return functools.cache(
        lambda name: transformers.pipeline("table-question-answering", model=str(tiny(name)), device="cpu")
    )


def assert_same(found: Any, wanted: Any) -> None:
    """Texts and offsets exactly, scores closely."""
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
        return
    assert found.keys() == wanted.keys()
    assert {**found, "score": 0} == {**wanted, "score": 0}
    assert found["score"] == pytest.approx(wanted["score"], abs=1e-5)


# ---- texts


def test_the_stored_answers_are_of_these_models(tiny: Callable[[str], Path]) -> None:
    record.check(oracle.NAME, tiny)


@pytest.mark.parametrize("case", record.stored(oracle.NAME), ids=lambda case: f"{case.model}-{case.parameters}")
def test_answers_are_those_of_transformers_4(questions: Callable[[str], Asked], case: record.Case) -> None:
    found = questions(case.model)(case.inputs, **case.parameters)
    assert_same(found, case.answer)


def test_every_case_is_stored() -> None:
    stored = [(case.model, case.inputs, case.parameters) for case in record.stored(oracle.NAME)]
    assert stored == [(case.model, case.inputs, case.parameters) for case in oracle.CASES]


@pytest.mark.parametrize("model", EXTRACTIVE)
def test_an_answer_does_not_depend_on_its_neighbours(questions: Callable[[str], Asked], model: str) -> None:
    asked = [oracle.SHORT, oracle.LONG, oracle.UNICODE, oracle.TWICE] * 3
    together = questions(model)(asked, top_k=3)
    assert_same(together, [questions(model)(question, top_k=3) for question in asked])


@pytest.mark.parametrize("model", EXTRACTIVE)
def test_an_answer_is_what_stands_at_its_offsets(questions: Callable[[str], Asked], model: str) -> None:
    for question in (oracle.LONG, oracle.UNICODE):
        for aligned in (True, False):
            for answer in questions(model)(question, top_k=20, align_to_words=aligned):
                assert answer["answer"] == question["context"][answer["start"] : answer["end"]]
                assert answer["answer"]


@pytest.mark.parametrize("model", EXTRACTIVE)
def test_windows_of_several_contexts_are_read_together_in_batches_of_a_bounded_size(
    questions: Callable[[str], Asked], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = questions(model).model.reader
    sizes: list[int] = []

    def run(rows: Any) -> Any:
        sizes.append(len(rows))
        return type(reader).run(reader, rows)

    monkeypatch.setattr(reader, "run", run)
    questions(model)([oracle.LONG] * 3, doc_stride=8)
    assert max(sizes) == reader.batch_size
    assert all(size == reader.batch_size for size in sizes[:-1])
    assert sum(sizes) % 3 == 0


@pytest.mark.parametrize("model", EXTRACTIVE)
def test_a_long_question_is_cut(questions: Callable[[str], Asked], model: str) -> None:
    long = {**oracle.SHORT, "question": "who is happy " * 100}
    assert "leave no room" in questions(model).refusal(long)
    size = len(questions(model).model.reader.tokenizer.tokenize("who is happy"))
    wanted = questions(model)({**oracle.SHORT, "question": "who is happy"})
    assert_same(questions(model)(long, max_question_len=size), wanted)


@pytest.mark.parametrize("model", EXTRACTIVE)
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_seq_len": WINDOW + 1}, f"at most this model's window of {WINDOW} tokens"),
        ({"doc_stride": WINDOW + 1}, "is larger than max_seq_len"),
        ({"max_seq_len": 5}, "leave no room for the context"),
    ],
)
def test_windows_that_cannot_be_are_refused(
    questions: Callable[[str], Asked], model: str, parameters: dict[str, int], words: str
) -> None:
    assert words in questions(model).refusal(oracle.SHORT, **parameters)


@pytest.mark.parametrize("model", EXTRACTIVE)
def test_windows_always_get_ahead(questions: Callable[[str], Asked], model: str) -> None:
    assert questions(model)(oracle.TWICE, doc_stride=WINDOW)["answer"]
    assert questions(model)(oracle.UNICODE, doc_stride=40, max_seq_len=40)["answer"]


def test_too_many_windows_are_refused(questions: Callable[[str], Asked]) -> None:
    endless = {"question": "who?", "context": "dog " * (MAX_WINDOWS + WINDOW)}
    assert f"the limit is {MAX_WINDOWS:,}" in questions("bert_squad").refusal(endless, doc_stride=WINDOW)


def test_a_context_without_tokens_has_the_empty_answer(questions: Callable[[str], Asked]) -> None:
    nothing = {"question": "who?", "context": "\x00"}  # which BERT's normalizer drops
    assert questions("bert_squad")(nothing, top_k=3) == {"score": 0, "start": 0, "end": 0, "answer": ""}
    beside = questions("bert_squad")([nothing, oracle.SHORT])
    assert_same(beside[1], questions("bert_squad")(oracle.SHORT))


@pytest.mark.parametrize(
    ("model", "task"), [("bert_squad", "question-answering"), ("tapas_sqa", "table-question-answering")]
)
def test_the_task_is_told_by_the_models_class(
    tiny: Callable[[str], Path], tmp_path: Path, model: str, task: str
) -> None:
    assert generation.plan(Options(model=str(tiny(model)), output=tmp_path)).spec.name == task


@pytest.mark.parametrize("name", ["top_k", "max_answer_len", "max_seq_len", "max_question_len"])
def test_a_tritonclient_is_told_of_numbers_out_of_range(questions: Callable[[str], Asked], name: str) -> None:
    model = questions("bert_squad")
    (request,) = model.requests(model.call(oracle.SHORT))
    changed = {**request.inputs, "parameters_json": np.array([[json.dumps({name: 0}).encode()]], dtype=np.object_)}
    (response,) = model.model.execute([InferenceRequest(changed, request.outputs)])
    assert response.refusal.message == f"parameter {name!r} must be at least 1, not 0"


@pytest.mark.parametrize("name", ["question", "context"])
def test_a_tritonclient_is_told_of_an_empty_text(questions: Callable[[str], Asked], name: str) -> None:
    model = questions("bert_squad")
    (request,) = model.requests(model.call(oracle.SHORT))
    (response,) = model.model.execute(
        [InferenceRequest({**request.inputs, name: np.array([[b" "]], dtype=np.object_)}, request.outputs)]
    )
    assert response.refusal.message.startswith(f"the {name} is empty")


def test_scores_of_spans_are_those_of_transformers() -> None:
    draw = np.random.default_rng(0)
    start, end = draw.random(30), draw.random(30)
    for longest in (1, 4, 30, 100):
        starts, ends, wanted = decode_spans(start, end, 20, longest, np.ones(30, dtype=int))
        scores = span_scores(start, end, longest)
        assert scores.shape == (30, min(longest, 30))
        np.testing.assert_allclose(np.sort(scores.ravel())[::-1][:20], wanted)
        np.testing.assert_allclose(scores[starts, ends - starts], wanted)


# ---- tables


def wanted_of(pipeline: Any, columns: Any, query: Any, **parameters: Any) -> Any:
    """What the reference answers, as JSON has it."""
    table = pd.DataFrame(columns, dtype=str)
    return json.loads(json.dumps(pipeline(table=table, query=query, **parameters)))


@pytest.mark.parametrize("model", SELECTING)
@pytest.mark.parametrize("table", [COLUMNS, ROWS, LONG_TABLE], ids=["columns", "rows", "long"])
def test_selected_cells_are_the_pipelines(
    tables: Callable[[str], Asked], pipelines: Callable[[str], Any], model: str, table: Any
) -> None:
    for query in QUERIES:
        found = tables(model)({"query": query, "table": table})
        assert found == wanted_of(pipelines(model), table, query)
        assert list(found) == ["answer", "coordinates", "cells", "aggregator"][: 3 + (model == "tapas_wtq")]


def test_the_tiny_models_give_answers_worth_comparing(tables: Callable[[str], Asked]) -> None:
    found = [tables(model)({"query": query, "table": COLUMNS}) for model in SELECTING for query in QUERIES]
    assert len({answer["answer"] for answer in found}) > 2
    assert {len(answer["cells"]) for answer in found} - {0}
    assert {answer.get("aggregator") for answer in found} - {None, "NONE"}


@pytest.mark.parametrize("model", SELECTING)
def test_questions_about_tables_of_other_sizes_share_a_batch(tables: Callable[[str], Asked], model: str) -> None:
    asked = [{"query": query, "table": table} for query in QUERIES for table in (COLUMNS, LONG_TABLE, {"a": ["x"]})]
    together = tables(model)(asked)
    assert together == [tables(model)(question) for question in asked]


@pytest.mark.parametrize("model", SELECTING)
def test_a_conversation_goes_on_from_its_answers(
    tables: Callable[[str], Asked], pipelines: Callable[[str], Any], model: str
) -> None:
    asked = QUERIES * 2  # more than one request
    for table in (COLUMNS, LONG_TABLE):
        found = tables(model)({"query": asked, "table": table}, sequential=True)
        assert found == wanted_of(pipelines(model), table, asked, sequential=True)


def test_a_conversation_is_another_than_its_questions(tables: Callable[[str], Asked]) -> None:
    one = {"query": QUERIES, "table": COLUMNS}
    assert any(tables(model)(one, sequential=True) != tables(model)(one) for model in SELECTING)


@pytest.mark.parametrize("model", [*SELECTING, "tapex_bart"])
def test_cells_that_are_no_strings_become_some(tables: Callable[[str], Asked], model: str) -> None:
    numbers = {"a": [1, 2.5, None], "b": [True, "x", -3]}
    texts = {"a": ["1", "2.5", ""], "b": ["true", "x", "-3"]}
    answers = [tables(model)({"query": "how many?", "table": table}) for table in (numbers, texts)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("model", SELECTING)
def test_what_does_not_fit_a_selecting_model_is_refused(tables: Callable[[str], Asked], model: str) -> None:
    tall = {"query": "x", "table": LONG_TABLE}
    for off in (False, "do_not_truncate"):
        assert "send fewer rows" in tables(model).refusal(tall, truncation=off)
    assert tables(model)(tall, truncation="drop_rows_to_fit") == tables(model)(tall, truncation=True)
    assert "has 40 columns" in tables(model).refusal({"query": "x", "table": {f"c{n}": ["1"] for n in range(40)}})
    assert "header do not fit" in tables(model).refusal({"query": "dog " * 200, "table": COLUMNS})


def test_a_table_of_fifty_thousand_rows_takes_no_minutes(tables: Callable[[str], Asked]) -> None:
    table = {"a": ["dog"] * 50_000, "b": ["12"] * 50_000}
    assert tables("tapas_wtq")({"query": "how many?", "table": table})["answer"]


def written_by_hand(folder: Path, query: str, columns: dict[str, list[str]]) -> str:
    """The answer of a TAPEX model to a table that was made into text here."""
    tokenizer = transformers.BartTokenizer.from_pretrained(folder)
    model = transformers.BartForConditionalGeneration.from_pretrained(folder).eval()
    rows = [" | ".join(row) for row in zip(*columns.values(), strict=True)]
    lines = [f"row {index + 1} : {row}" for index, row in enumerate(rows)]
    text = f"{query} col : {' | '.join(columns)} {' '.join(lines)}".lower()
    with torch.inference_mode():
        ids = model.generate(**tokenizer([text], return_tensors="pt"))
    return str(tokenizer.batch_decode(ids, skip_special_tokens=True)[0])


def test_written_answers_are_the_models_own(tables: Callable[[str], Asked], tiny: Callable[[str], Path]) -> None:
    small = {"City": ["Paris", "Rome"], "People": ["12", "7"]}
    wanted = [written_by_hand(tiny("tapex_bart"), query, small) for query in QUERIES]
    assert len(set(wanted)) > 1
    assert tables("tapex_bart")({"query": QUERIES, "table": small}) == [{"answer": answer} for answer in wanted]
    for query, answer in zip(QUERIES, wanted, strict=True):
        assert tables("tapex_bart")({"question": query, "table": small}) == {"answer": answer}


def test_long_cells_are_cut_as_the_old_tokenizer_did(tables: Callable[[str], Asked]) -> None:
    reader = tables("tapex_bart").model.reader
    cell = "a very big old city in the sun and in the cold winter of the year"
    kept = reader.tokenizer.convert_tokens_to_string(reader.tokenizer.tokenize(cell)[:15])
    assert len(kept) < len(cell)
    assert reader.as_text("Q", Table(("A",), ((cell,), ("B",)))) == f"q col : a row 1 : {kept} row 2 : b"


def test_what_does_not_fit_a_writing_model_is_refused(tables: Callable[[str], Asked]) -> None:
    tall = {"query": "x", "table": LONG_TABLE}
    assert "set truncation to true" in tables("tapex_bart").refusal(tall)
    assert tables("tapex_bart")(tall, truncation=True)["answer"]


@pytest.mark.parametrize("model", [*SELECTING, "tapex_bart"])
def test_the_javascript_client_gets_all_that_its_parser_needs(tables: Callable[[str], Asked], model: str) -> None:
    for query in QUERIES:
        found = tables(model)({"query": query, "table": {"a": ["x"]}}, Profile.JAVASCRIPT)
        assert found.keys() == {"answer", "aggregator", "cells", "coordinates"}
        assert found["aggregator"] in ("NONE", "SUM", "AVERAGE", "COUNT")
        if model == "tapex_bart":
            assert found == {
                "answer": found["answer"],
                "aggregator": "NONE",
                "cells": [found["answer"]],
                "coordinates": [],
            }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "table is empty"),
        ([], "table is empty"),
        ({"a": []}, "table is empty"),
        ([{}], "table is empty"),
        ({"a": ["1"], "b": []}, "'a' has 1, 'b' has 0"),
        ({"a": "1"}, 'must be a list of cells, not "1"'),
        ({"a": [["1"]]}, r'must be a string, not \["1"\]'),
        (["1"], "row 0 of the table must be an object"),
        ([{"a": "1"}, {"b": "1"}], r"row 1 has \['b'\] and row 0 has \['a'\]"),
        ("a", "the table must be an object of columns"),
    ],
)
def test_what_is_no_table_is_refused(table: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Table.from_json(table)


def test_a_table_is_the_same_in_both_forms() -> None:
    assert Table.from_json(COLUMNS) == Table.from_json(ROWS)
    assert Table.from_json(COLUMNS).first(1).rows == (("paris", "12", "1999"),)


@pytest.mark.parametrize("earlier", ["x", [1], [""]])
def test_what_are_no_earlier_queries_is_refused(tables: Callable[[str], Asked], earlier: Any) -> None:
    model = tables("tapas_sqa")
    table = json.dumps({"table": COLUMNS, "earlier_queries": earlier}).encode()
    inputs = {"query": np.array([[b"x"]], dtype=np.object_), "table_json": np.array([[table]], dtype=np.object_)}
    (response,) = model.model.execute([InferenceRequest(inputs, tuple(tensor.name for tensor in model.outputs))])
    assert "quer" in response.refusal.message

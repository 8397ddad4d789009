"""The forms in which Hugging Face's container answers: one input, a list of two, and a list of one.

Its own tests compare the keys of answers for equality, so there may be none besides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.e2e.service import Service

from hub2triton import tasks

pytestmark = pytest.mark.e2e

TEXT = "a red bird"
CHAT = [{"role": "user", "content": "who is the teacher?"}]
SHORT = {"max_new_tokens": 4, "do_sample": False}
LABELS = {"label", "score"}


def example(task: str) -> Any:
    """The inputs of a task's example."""
    spec = tasks.find(task)
    assert spec is not None
    return spec.example["inputs"]


@dataclass(frozen=True)
class Row:
    """What a task answers to its inputs.

    Attributes:
        forms: For one, two in a list, and one in a list: `{}` an object, `[…]` a list, `0` a number, `s` a text.
        keys: Those of every object that the answer is made of.
        one: The inputs; the lists are made of them, unless `two` and `listed` say how.
        key: What the form is that of, in place of the whole answer.
    """

    task: str
    forms: tuple[str, str, str]
    keys: set[str]
    one: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    two: Any = None
    listed: Any = None
    key: str | None = None


QA = {"question": "who is happy?", "context": "The young woman is happy today."}
TABLE = {"query": "how many people?", "table": {"city": ["paris"], "people": ["12"]}}
IMAGE, SOUND = example("image-classification"), example("audio-classification")
LABELLED = {"candidate_labels": ["bird", "horse"]}

ROWS = (
    Row("text-classification", ("[{}]", "[{}]", "[{}]"), LABELS, TEXT),
    Row("text-classification", ("[{}]", "[[{}]]", "[[{}]]"), LABELS, TEXT, {"top_k": 2}),
    Row("zero-shot-classification", ("{}", "[{}]", "[{}]"), {"sequence", "labels", "scores"}, TEXT, LABELLED),
    Row(
        "token-classification",
        ("[{}]", "[[{}]]", "[[{}]]"),
        {"word", "score", "entity", "index", "start", "end"},
        TEXT,
        {"ignore_labels": []},
    ),
    Row(
        "question-answering",
        ("{}", "[{}]", "{}"),
        {"score", "start", "end", "answer"},
        QA,
        two={key: [value] * 2 for key, value in QA.items()},
        listed={key: [value] for key, value in QA.items()},
    ),
    Row("question-answering", ("{}", "[{}]", "{}"), {"score", "start", "end", "answer"}, QA),
    Row(
        "fill-mask",
        ("[{}]", "[[{}]]", "[{}]"),
        {"score", "token", "token_str", "sequence"},
        "a [MASK] bird",
    ),
    Row("summarization", ("[{}]", "[{}]", "[{}]"), {"summary_text"}, TEXT, SHORT),
    Row("translation", ("[{}]", "[{}]", "[{}]"), {"translation_text"}, TEXT, SHORT),
    Row("text2text-generation", ("[{}]", "[{}]", "[{}]"), {"generated_text"}, TEXT, SHORT),
    Row(
        "text2text-generation",
        ("[{}]", "[[{}]]", "[[{}]]"),
        {"generated_text"},
        TEXT,
        {"max_new_tokens": 4, "num_beams": 2, "num_return_sequences": 2},
    ),
    Row("text-generation", ("[{}]", "[[{}]]", "[[{}]]"), {"generated_text"}, TEXT, SHORT),
    Row("conversational", ("[{}]", "[[{}]]", "[[{}]]"), {"generated_text"}, CHAT, SHORT),
    Row("feature-extraction", ("[[[0]]]", "[[[[0]]]]", "[[[[0]]]]"), set(), TEXT),
    Row("sentence-embeddings", ("[0]", "[[0]]", "[[0]]"), {"embeddings"}, TEXT, key="embeddings"),
    Row(
        "sentence-similarity",
        ("[0]", "[0]", "[0]"),
        {"similarities"},
        {"source_sentence": TEXT, "sentences": [TEXT, "x"]},
        two={"source_sentence": TEXT, "sentences": ["x", TEXT]},
        listed={"source_sentence": TEXT, "sentences": ["x"]},
        key="similarities",
    ),
    Row("sentence-ranking", ("0", "[0]", "[0]"), {"scores"}, [TEXT, "x"], key="scores"),
    Row("image-classification", ("[{}]", "[[{}]]", "[[{}]]"), LABELS, IMAGE),
    Row("object-detection", ("[{}]", "[[{}]]", "[[{}]]"), {"score", "label", "box"}, IMAGE, {"threshold": 0.001}),
    Row("image-segmentation", ("[{}]", "[[{}]]", "[[{}]]"), {"score", "label", "mask"}, IMAGE),
    Row("zero-shot-image-classification", ("[{}]", "[[{}]]", "[[{}]]"), LABELS, IMAGE, LABELLED),
    Row(
        "visual-question-answering",
        ("[{}]", "[[{}]]", "[[{}]]"),
        {"score", "answer"},
        {"image": IMAGE, "question": "who is it?"},
    ),
    Row("automatic-speech-recognition", ("{}", "[{}]", "[{}]"), {"text"}, SOUND),
    Row("audio-classification", ("[{}]", "[[{}]]", "[[{}]]"), LABELS, SOUND),
    Row(
        "table-question-answering",
        ("{}", "[{}]", "{}"),
        {"answer", "coordinates", "cells", "aggregator"},
        TABLE,
        two={**TABLE, "query": [TABLE["query"]] * 2},
        listed={**TABLE, "query": [TABLE["query"]]},
    ),
    Row("text-to-image", ("s", "[s]", "[s]"), set(), TEXT, {"num_inference_steps": 1, "height": 16, "width": 16}),
    Row("custom", ("{}", "{}", "{}"), {"inputs", "parameters"}, TEXT),
)


def form(value: Any) -> str:
    """The form of a JSON value, by the first item of each list."""
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return f"[{form(value[0])}]" if value else "[]"
    return "s" if isinstance(value, str) else "0"


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects that an answer is made of, not those inside of them."""
    if isinstance(value, dict):
        return [value]
    return [found for item in value for found in objects(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.task}{''.join(f'-{name}' for name in row.parameters)}")
def test_forms_of_answers(all_tasks: Service, row: Row) -> None:
    listings = (row.one, row.two or [row.one] * 2, row.listed or [row.one])
    for inputs, wanted, length in zip(listings, row.forms, (None, 2, 1), strict=True):
        response = httpx.post(
            f"{all_tasks.url}/models/{row.task}",
            json={"inputs": inputs, "parameters": row.parameters},
            headers={"accept": "application/json"},
            timeout=120,
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        assert all(found.keys() == row.keys for found in objects(answer))
        told = answer[row.key] if row.key else answer
        assert form(told) == wanted
        if wanted.startswith("[") and length is not None and wanted != row.forms[0]:
            assert len(told) == length


def test_every_task_has_a_row() -> None:
    assert {row.task for row in ROWS} == set(tasks.names())


AXIOS = {
    "accept": "application/json, text/plain, */*",
    "content-type": "application/json",
    "user-agent": "axios/1.13.2",
    "accept-encoding": "gzip, compress, deflate, br",
}
BROWSER = {
    "accept": "*/*",
    "content-type": "text/plain;charset=UTF-8",  # what fetch says of a string by itself
    "origin": "https://page.example",
    "referer": "https://page.example/",
    "sec-fetch-mode": "cors",
    "accept-language": "de,en;q=0.5",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept-encoding": "gzip, deflate, br, zstd",
}


@pytest.mark.parametrize("headers", [AXIOS, BROWSER], ids=["axios", "browser"])
@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_other_clients_headers_change_nothing(all_tasks: Service, spec: Any, headers: dict[str, str]) -> None:
    plain = httpx.post(
        f"{all_tasks.url}/models/{spec.name}",
        content=spec.example_json().encode(),
        headers={"accept": "application/json" if headers is AXIOS else "*/*"},
        timeout=120,
    )
    response = httpx.post(
        f"{all_tasks.url}/models/{spec.name}", content=spec.example_json().encode(), headers=headers, timeout=120
    )
    assert response.status_code == plain.status_code == 200, response.text
    assert response.headers["content-type"] == plain.headers["content-type"]
    if "origin" in headers:
        assert response.headers["access-control-allow-origin"] == "*"

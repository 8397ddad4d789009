"""The form of an answer, by what the caller accepts."""

from __future__ import annotations

import json

import pytest

from hub2triton.shim.transport import response
from hub2triton.tasks.media import MediaAnswer

PNG = MediaAnswer(b"png", "image/png", json="cG5n")
UNDECIDED = MediaAnswer(b"png", "image/png", json="cG5n", prefers_json=True)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "image/png", "image/*", "image/png, application/json;q=0.9", "text/html", "application/json;q=0", "x"],
)
def test_an_answer_that_is_a_file_is_sent_as_one(accept: str) -> None:
    found = response(PNG, accept)
    assert (found.headers["content-type"], found.body) == ("image/png", b"png")


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json, text/plain, */*",  # axios
        "image/*;q=0.1, application/*",
        "image/png;q=0, */*",
    ],
)
def test_who_asks_for_json_gets_it(accept: str) -> None:
    found = response(PNG, accept)
    assert found.headers["content-type"] == "application/json"
    assert json.loads(found.body) == "cG5n"


@pytest.mark.parametrize(("accept", "is_json"), [("", True), ("*/*", True), ("image/png", False), ("image/*", False)])
def test_an_answer_may_prefer_json(accept: str, is_json: bool) -> None:
    assert (response(UNDECIDED, accept).headers["content-type"] == "application/json") is is_json


@pytest.mark.parametrize("accept", ["", "image/png", "text/html", "application/json;q=0.1", "q=;;,,/"])
def test_json_is_json_to_everyone(accept: str) -> None:
    assert json.loads(response([{"label": "a"}], accept).body) == [{"label": "a"}]

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.shim import body, transport
from hub2triton.tasks.parameter import from_query
from hub2triton.tasks.payload import Limits, PayloadError
from hub2triton.tasks.request import call_of
from hub2triton.tasks.spec import Answer, Call, Profile, TaskSpec

HELLO = {"inputs": "Hello"}


@pytest.fixture
def spec() -> TaskSpec:
    found = tasks.find("custom")
    assert found is not None
    return found


def sent(spec: TaskSpec, content: bytes, content_type: str = "", query: tuple[tuple[str, str], ...] = ()) -> Call:
    found = body.content(content, content_type, spec)
    return call_of(spec, found, Limits(), Profile.TOOLKIT, from_query(query, spec.parameters))


def data(call: Call) -> Any:
    (row,) = call.rows
    text = row["request_json"]
    assert isinstance(text, str)
    assert call.parameters == {}
    return json.loads(text)


def answer(content: bytes, kind: str) -> list[Answer]:
    return [
        {
            name: np.array([value], dtype=np.object_)
            for name, value in (("response", content), ("content_type", kind.encode()))
        }
    ]


@pytest.mark.parametrize(
    "given",
    [
        HELLO,
        {"inputs": "Hello", "parameters": {}},
        {"inputs": "Hello", "parameters": None},
        {"inputs": [], "parameters": {"topK": 1}, "moreData": [{"a": None}], "options": {}},
        {"inputs": None},
        {"messages": ["x"], "stream": True},
        {},
        {"inputs": "\ud800", "number": 10**15, "float": 1.5},
    ],
    ids=str,
)
def test_the_code_gets_the_whole_object_as_it_was_sent(spec: TaskSpec, given: dict[str, Any]) -> None:
    call = call_of(spec, json.loads(json.dumps(given)), Limits(), Profile.TOOLKIT, {})
    assert data(call) == given
    assert call.rows[0]["body"] == b""


@pytest.mark.parametrize("content_type", ["application/json", "", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("given", [HELLO, {}])
def test_json_is_json_whatever_it_is_called(spec: TaskSpec, content_type: str, given: dict[str, Any]) -> None:
    call = sent(spec, json.dumps(given).encode(), content_type)
    assert (data(call), call.rows[0]["body"]) == (given, b"")


@pytest.mark.parametrize("content", [b"RIFF\x00", b"a text", b"[1, 2]", b"\xff\xfe"])
def test_any_other_body_takes_the_place_of_the_inputs(spec: TaskSpec, content: bytes) -> None:
    call = sent(spec, content, "audio/wav")
    assert (data(call), call.rows[0]["body"]) == ({}, content)


def test_the_query_is_parameters_of_the_types_it_looks_like(spec: TaskSpec) -> None:
    query = (("top_k", "3"), ("flag", "True"), ("name", "x y"), ("list", "1"), ("list", "b"), ("half", "0.5"))
    typed = {"top_k": 3, "flag": True, "name": "x y", "list": [1, "b"], "half": 0.5}
    assert data(sent(spec, b"\x00", "", query)) == {"parameters": typed}
    assert data(sent(spec, json.dumps(HELLO).encode(), "", query)) == {**HELLO, "parameters": typed}
    both = json.dumps({**HELLO, "parameters": {"flag": "kept", "own": "5"}}).encode()
    assert data(sent(spec, both, "", query))["parameters"] == {**typed, "flag": "kept", "own": "5"}


def test_what_is_no_object_is_refused(spec: TaskSpec) -> None:
    with pytest.raises(PayloadError, match="must be a JSON object"):
        sent(spec, b"[1]", "application/json")


def test_instances_are_requests_of_their_own(spec: TaskSpec) -> None:
    given = {"instances": ["a", {"b": 1}], "parameters": {"c": 2}}
    call = call_of(spec, given, Limits(), Profile.TOOLKIT, {})
    asked = [json.loads(str(row["request_json"])) for row in call.rows]
    assert asked == [{"inputs": "a", "parameters": {"c": 2}}, {"inputs": {"b": 1}, "parameters": {"c": 2}}]
    answers = [*answer(b'{"x": 1}', "application/json"), *answer(b"\x00", "application/octet-stream")]
    assert call.decode(answers, Profile.TOOLKIT) == {"predictions": [{"x": 1}, "AA=="]}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/png", "text/html"])
def test_json_goes_out_as_it_came(spec: TaskSpec, profile: Profile, accept: str) -> None:
    content = b'{"number": 1180591620717411303424, "text": "\\u00e9"}'
    decoded = call_of(spec, HELLO, Limits(), profile, {}).decode(answer(content, "application/json"), profile)
    found = transport.response(decoded, accept)
    assert (found.body, found.headers["content-type"]) == (content, "application/json")


@pytest.mark.parametrize(("accept", "is_file"), [("", False), ("*/*", False), ("image/png", True), ("image/*", True)])
def test_an_image_is_a_file_for_who_asks_for_one(spec: TaskSpec, accept: str, is_file: bool) -> None:
    text = json.dumps(base64.b64encode(b"png").decode()).encode()
    decoded = call_of(spec, HELLO, Limits(), Profile.TOOLKIT, {}).decode(
        answer(text, "application/json; of=image/png"), Profile.TOOLKIT
    )
    found = transport.response(decoded, accept)
    assert found.body == (b"png" if is_file else text)


@pytest.mark.parametrize(("accept", "is_file"), [("", True), ("*/*", True), ("application/json", False)])
def test_bytes_are_a_file_with_their_type(spec: TaskSpec, accept: str, is_file: bool) -> None:
    decoded = call_of(spec, HELLO, Limits(), Profile.TOOLKIT, {}).decode(answer(b"RIFF", "audio/wav"), Profile.TOOLKIT)
    found = transport.response(decoded, accept)
    assert found.headers["content-type"] == ("audio/wav" if is_file else "application/json")
    assert found.body == (b"RIFF" if is_file else b'"UklGRg=="')

"""What a body is taken for, by its bytes and by what the caller calls it."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import pytest

from hub2triton import tasks
from hub2triton.shim.body import DEPTH, content, json_object
from hub2triton.shim.failure import Failure
from hub2triton.tasks.spec import Media

TEXT = next(spec for spec in tasks.SPECS if spec.media is None)
IMAGE = dataclasses.replace(TEXT, media=Media.IMAGE)
ANY = dataclasses.replace(TEXT, media=Media.ANY)
JPEG = b"\xff\xd8\xff\xe0 and so on"


@pytest.mark.parametrize(
    "declared",
    ["", "application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded", "image/png"],
)
@pytest.mark.parametrize("spec", [TEXT, IMAGE, ANY], ids=["text", "image", "any"])
def test_json_is_json_whatever_it_is_called(declared: str, spec: Any) -> None:
    assert content(b'{"inputs": "a"}', declared, spec) == {"inputs": "a"}


@pytest.mark.parametrize("body", [b' \n{"inputs": 1}', b'\xef\xbb\xbf{"inputs": 1}'])
def test_json_may_begin_with_what_editors_put_there(body: bytes) -> None:
    assert content(body, "", TEXT) == {"inputs": 1}


@pytest.mark.parametrize(
    ("body", "means"),
    [
        (b'{"inputs": "a", "parameters": {},}', {"inputs": "a", "parameters": {}}),
        (b'{"inputs": ["a", "b", ], }', {"inputs": ["a", "b"]}),
        (b'{"inputs": "one\ntwo\tthree"}', {"inputs": "one\ntwo\tthree"}),
        (b'{"inputs": "not a comma: ,} ,]",}', {"inputs": "not a comma: ,} ,]"}),
        (b'{"inputs": "quoted \\" ,}",}', {"inputs": 'quoted " ,}'}),
        (b'{"inputs": NaN}', {"inputs": None}),
        (b'\xef\xbb\xbf{"inputs": "a",}', {"inputs": "a"}),
    ],
)
def test_json_may_be_written_as_people_write_it(body: bytes, means: Any) -> None:
    assert content(body, "application/json", TEXT) == means
    assert json_object(body) == means


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 500_000, b'{"a": ' + b'"' * 500_001, b"[" * 100_000 + b",]", b",}" * 500_000]
)
def test_bodies_on_which_backtracking_would_never_end_are_refused(body: bytes) -> None:
    with pytest.raises(Failure):
        content(body, "application/json", TEXT)


def nested(levels: int, begin: bytes, end: bytes) -> bytes:
    return b'{"inputs": ' + begin * (levels - 1) + b"1" + end * (levels - 1) + b"}"


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize("wrong", [b"", b","], ids=["right", "nearly"])
def test_nesting_has_an_end(begin: bytes, end: bytes, wrong: bytes) -> None:
    assert content(nested(DEPTH, begin, end)[:-1] + wrong + b"}", "", TEXT)
    for levels in (DEPTH + 1, 500, 1100, 100_000):
        with pytest.raises(Failure, match="more than 100 levels deep") as caught:
            content(nested(levels, begin, end)[:-1] + wrong + b"}", "", TEXT)
        assert caught.value.status == 400


def test_many_lists_beside_each_other_are_not_deep() -> None:
    found = content(b'{"inputs": [' + b"[[]]," * 10_000 + b"[]]}", "", TEXT)
    assert len(found["inputs"]) == 10_001


def test_a_long_string_with_a_mistake_takes_no_more_than_itself() -> None:
    text = b'{"inputs": "' + b"a" * 2**22
    tracemalloc.start()
    try:
        with pytest.raises(Failure, match="not valid JSON"):
            content(text, "application/json", TEXT)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
    finally:
        tracemalloc.stop()


def test_what_must_be_an_object_is_one() -> None:
    with pytest.raises(Failure, match="must be a JSON object, not a list"):
        json_object(b"[1]")


@pytest.mark.parametrize(
    "declared", ["", "image/jpeg", "image/x-image", "application/octet-stream", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("spec", [IMAGE, ANY], ids=["image", "any"])
def test_a_file_becomes_the_inputs(declared: str, spec: Any) -> None:
    assert content(JPEG, declared, spec) == {"inputs": JPEG}


def test_what_looks_like_json_but_is_none_is_a_file_to_a_task_that_takes_any() -> None:
    assert content(b"{not json", "", ANY) == {"inputs": b"{not json"}
    assert content(b"[1]", "application/octet-stream", ANY) == {"inputs": b"[1]"}


@pytest.mark.parametrize("spec", [TEXT, IMAGE, ANY], ids=["text", "image", "any"])
def test_what_is_called_json_and_is_none_is_refused(spec: Any) -> None:
    with pytest.raises(Failure, match="not valid JSON") as caught:
        content(b"{not json", "application/json", spec)
    assert caught.value.status == 400


def test_a_plain_text_becomes_the_inputs_of_a_text_task() -> None:
    assert content("Grüße".encode(), "text/plain; charset=utf-8", TEXT) == {"inputs": "Grüße"}
    with pytest.raises(Failure, match="UTF-8"):
        content(b"\xff", "text/plain", TEXT)


def test_a_file_for_a_text_task_is_refused_by_its_type() -> None:
    with pytest.raises(Failure, match="takes JSON") as caught:
        content(JPEG, "image/jpeg", TEXT)
    assert caught.value.status == 415


def test_bytes_of_no_type_for_a_text_task_are_refused() -> None:
    with pytest.raises(Failure, match="not valid JSON"):
        content(JPEG, "", TEXT)

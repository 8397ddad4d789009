from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hf_runtime import InvalidInput, Row


def row(*values: bytes, limit: int = 100) -> Row:
    array: np.ndarray[Any, Any] = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return Row({"x": array}, limit)


def test_text_is_decoded() -> None:
    assert row("grüße".encode()).text("x") == "grüße"
    assert row(b"").text("x") == ""
    assert row(b"a", "ß".encode()).texts("x") == ["a", "ß"]
    assert row().texts("x") == []


def test_bytes_are_left_alone() -> None:
    assert row(b"\xff\x00").raw("x") == b"\xff\x00"


@pytest.mark.parametrize("read", [Row.text, Row.texts, Row.json])
def test_what_is_not_utf8_is_the_callers_mistake(read: Any) -> None:
    with pytest.raises(InvalidInput, match="input 'x' is not valid UTF-8"):
        read(row(b"\xff"), "x")


@pytest.mark.parametrize("read", [Row.text, Row.texts])
def test_the_limit_is_in_characters(read: Any) -> None:
    assert read(row("ßß".encode(), limit=2), "x") in ("ßß", ["ßß"])
    with pytest.raises(InvalidInput, match=r"input 'x' has 3 characters; this model takes at most 2 \(max_text_length"):
        read(row(b"abc", limit=2), "x")


def test_json_is_parsed() -> None:
    assert row(b'{"a": [1, null]}').json("x") == {"a": [1, None]}


@pytest.mark.parametrize("text", [b"", b"{", b"[1,]", b"9" * 5000, b"[" * 100_000])
def test_what_is_no_json_is_the_callers_mistake(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="input 'x' is not valid JSON"):
        row(text, limit=10**6).json("x")


def test_half_of_a_character_is_the_callers_mistake_too() -> None:
    assert row(b'["\\ud83d\\ude00"]').json("x") == ["\U0001f600"]
    with pytest.raises(InvalidInput, match="input 'x' is not valid Unicode"):
        row(b'["\\ud83d"]').json("x")


def test_too_long_json_is_told_as_such() -> None:
    with pytest.raises(InvalidInput, match="has 3 characters"):
        row(b"[1]", limit=2).json("x")

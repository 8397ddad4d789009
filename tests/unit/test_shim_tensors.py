from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub2triton.shim import tensors
from hub2triton.tensor import COUNT, PARAMETERS, DataType, TensorSpec

TEXT = TensorSpec("text", DataType.BYTES, (1,), "")
LABELS = TensorSpec("labels", DataType.BYTES, (-1,), "")
SCORE = TensorSpec("score", DataType.FP32, (-1,), "")
BOX = TensorSpec("box", DataType.INT32, (-1, 2), "")
NAME = TensorSpec("name", DataType.BYTES, (1,), "")


def chunks(rows: list[Any], *inputs: TensorSpec, size: int = 2) -> list[dict[str, Any]]:
    found = tensors.chunks(rows, (*inputs, PARAMETERS), size)
    return [{name: array.tolist() for name, array in arrays.items()} for arrays in found]


def test_rows_are_cut_into_chunks_in_their_order() -> None:
    rows = [{"text": text} for text in "abcde"]
    assert chunks(rows, TEXT) == [
        {"text": [[b"a"], [b"b"]]},
        {"text": [[b"c"], [b"d"]]},
        {"text": [[b"e"]]},
    ]
    assert len(chunks(rows, TEXT, size=5)) == 1


def test_lists_of_other_lengths_are_in_chunks_of_their_own() -> None:
    rows = [{"text": "a", "labels": ["x"]}, {"text": "b", "labels": ["y"]}, {"text": "c", "labels": ["x", "y"]}]
    assert chunks([*rows, rows[0]], TEXT, LABELS, size=8) == [
        {"text": [[b"a"], [b"b"]], "labels": [[b"x"], [b"y"]]},
        {"text": [[b"c"]], "labels": [[b"x", b"y"]]},
        {"text": [[b"a"]], "labels": [[b"x"]]},
    ]


@pytest.mark.parametrize(
    ("value", "encoded"), [("grüße", "grüße".encode()), (b"\x00\xff\x00", b"\x00\xff\x00"), ("", b"")]
)
def test_texts_are_encoded_and_bytes_are_as_they_are(value: Any, encoded: bytes) -> None:
    (arrays,) = tensors.chunks([{"text": value}], (TEXT,), 1)
    assert arrays["text"].dtype == np.object_
    assert arrays["text"].tolist() == [[encoded]]


def test_an_empty_list_is_an_array_without_elements() -> None:
    (arrays,) = tensors.chunks([{"labels": []}], (LABELS,), 1)
    assert arrays["labels"].shape == (1, 0)


def test_rows_of_similar_length_and_lists_of_equal_numbers_are_best_cut_together() -> None:
    rows = [
        {"text": "aa", "labels": ["x"]},
        {"text": "a", "labels": ["x", "y"]},
        {"text": "a", "labels": ["x"]},
        {"text": "a", "labels": ["xx", "y"]},
        {"text": "a", "labels": ["x"]},
    ]
    assert tensors.longest_first(rows) == [3, 1, 0, 2, 4]
    assert tensors.longest_first([{"image": b"12"}, {"image": b"123"}]) == [1, 0]
    assert tensors.longest_first([]) == []


def test_no_rows_are_no_chunks() -> None:
    assert chunks([], TEXT) == []


def test_a_response_is_cut_into_rows_without_padding() -> None:
    arrays = {
        "name": np.array([[b"a"], [b"b"]], dtype=object),
        "score": np.float32([[1, 2], [3, 0]]),
        "box": np.int32([[[1, 1], [2, 2]], [[3, 3], [0, 0]]]),
        "count": np.int32([[2], [1]]),
    }
    rows = tensors.answers(arrays, (NAME, SCORE, BOX, COUNT))
    assert [{name: value.tolist() for name, value in row.items()} for row in rows] == [
        {"name": [b"a"], "score": [1, 2], "box": [[1, 1], [2, 2]]},
        {"name": [b"b"], "score": [3], "box": [[3, 3]]},
    ]


def test_a_list_of_none_is_empty() -> None:
    (row,) = tensors.answers({"score": np.float32([[0]]), "count": np.int32([[0]])}, (SCORE, COUNT))
    assert row["score"].tolist() == []


def test_a_response_without_count_is_not_cut() -> None:
    (row,) = tensors.answers({"score": np.float32([[1, 0]])}, (SCORE,))
    assert row["score"].tolist() == [1, 0]

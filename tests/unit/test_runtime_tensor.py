from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hf_runtime import InvalidInput
from hf_runtime.settings import Tensor
from hf_runtime.tensor import pack, split

LABEL = Tensor("label", "TYPE_STRING", (-1,))
SCORE = Tensor("score", "TYPE_FP32", (-1,))
BOX = Tensor("box", "TYPE_INT32", (-1, 4))
STATES = Tensor("states", "TYPE_FP32", (-1, -1))
TEXT = Tensor("text", "TYPE_STRING", (1,))
COUNT = Tensor("count", "TYPE_INT32", (1,))


def test_arrays_become_rows() -> None:
    rows = split({"a": np.array([[1], [2]]), "b": np.array([[3, 4], [5, 6]])})
    assert [{name: array.tolist() for name, array in row.items()} for row in rows] == [
        {"a": [1], "b": [3, 4]},
        {"a": [2], "b": [5, 6]},
    ]


def test_inputs_of_other_numbers_of_rows_are_the_callers_mistake() -> None:
    with pytest.raises(InvalidInput, match="but have: a 2, b 1"):
        split({"a": np.zeros((2, 1)), "b": np.zeros((1, 1))})


def test_no_inputs_are_no_rows() -> None:
    assert split({}) == []


def test_lists_are_padded_to_the_longest_row_and_counted() -> None:
    answers = [
        {"label": ["a", "b"], "score": [0.5, 0.25]},
        {"label": ["c"], "score": [1.0]},
        {"label": [], "score": []},
    ]
    packed = pack(answers, [LABEL, SCORE, COUNT])
    assert packed["label"].tolist() == [[b"a", b"b"], [b"c", b""], [b"", b""]]
    assert packed["score"].tolist() == [[0.5, 0.25], [1, 0], [0, 0]]
    assert packed["count"].tolist() == [[2], [1], [0]]
    assert {name: array.dtype for name, array in packed.items()} == {
        "label": np.object_,
        "score": np.float32,
        "count": np.int32,
    }


def test_count_is_given_for_equal_lengths_too_and_only_where_it_is_declared() -> None:
    answers = [{"score": [1.0, 2.0]}, {"score": [3.0, 4.0]}]
    assert pack(answers, [SCORE, COUNT])["count"].tolist() == [[2], [2]]
    assert pack(answers, [SCORE]).keys() == {"score"}


def test_count_is_that_of_the_first_list_where_several_differ() -> None:
    packed = pack([{"text": "x", "label": ["a", "b", "c"], "score": [1.0]}], [TEXT, LABEL, SCORE, COUNT])
    assert packed["count"].tolist() == [[3]]


def test_matrices_are_padded_in_both_directions() -> None:
    answers: list[dict[str, Any]] = [{"states": np.ones((1, 3))}, {"states": np.ones((2, 2))}]
    packed = pack(answers, [STATES, COUNT])
    assert packed["states"].tolist() == [[[1, 1, 1], [0, 0, 0]], [[1, 1, 0], [1, 1, 0]]]
    assert packed["count"].tolist() == [[1], [2]]


def test_an_empty_list_has_the_dims_of_its_items() -> None:
    assert pack([{"box": []}], [BOX])["box"].shape == (1, 0, 4)
    packed = pack([{"box": [[1, 2, 3, 4]]}, {"box": []}], [BOX, COUNT])
    assert packed["box"].tolist() == [[[1, 2, 3, 4]], [[0, 0, 0, 0]]]
    assert packed["count"].tolist() == [[1], [0]]


@pytest.mark.parametrize("value", ["grüße", "grüße".encode(), ["grüße"], np.array(["grüße"])])
def test_a_single_text_may_be_a_text_or_a_list(value: Any) -> None:
    assert pack([{"text": value}], [TEXT])["text"].tolist() == [["grüße".encode()]]


def test_bytes_keep_their_zeros_at_the_end() -> None:
    assert pack([{"text": b"\x00PNG\x00"}], [TEXT])["text"].tolist() == [[b"\x00PNG\x00"]]


def test_a_missing_output_is_an_error() -> None:
    with pytest.raises(KeyError):
        pack([{"label": ["a"]}], [LABEL, SCORE])

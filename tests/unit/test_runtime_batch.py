from __future__ import annotations

import pytest

from hf_runtime.batch import grouped, in_sub_batches


def test_equal_keys_are_together_in_their_first_order() -> None:
    assert grouped(["b1", "a1", "b2", "c1", "a2"], key=lambda item: item[0]) == [["b1", "b2"], ["a1", "a2"], ["c1"]]
    assert grouped([], key=len) == []


def test_batches_hold_items_of_similar_length_and_answers_keep_the_order() -> None:
    seen = []

    def predict(items: list[str]) -> list[str]:
        seen.append(items)
        return [item.upper() for item in items]

    items = ["ccc", "a", "dddd", "bb", "e"]
    assert in_sub_batches(items, predict, length=len, size=2) == ["CCC", "A", "DDDD", "BB", "E"]
    assert seen == [["a", "e"], ["bb", "ccc"], ["dddd"]]


def test_no_items_are_not_predicted() -> None:
    assert in_sub_batches([], lambda _: pytest.fail("called"), length=len, size=2) == []


@pytest.mark.parametrize("answers", [[], ["a"], ["a", "b", "c"]])
def test_another_number_of_answers_is_an_error(answers: list[str]) -> None:
    with pytest.raises(RuntimeError, match=f"predict gave {len(answers)} answers for 2 rows"):
        in_sub_batches(["x", "y"], lambda _: answers, length=len, size=8)

from __future__ import annotations

import itertools
import random

import pytest

from hf_runtime.batch import Cut, grouped, in_sub_batches


def test_equal_keys_are_together_in_their_first_order() -> None:
    assert grouped(["b1", "a1", "b2", "c1", "a2"], key=lambda item: item[0]) == [["b1", "b2"], ["a1", "a2"], ["c1"]]
    assert grouped([], key=len) == []


def test_batches_hold_items_of_similar_length_and_answers_keep_the_order() -> None:
    seen = []

    def predict(items: list[str]) -> list[str]:
        seen.append(items)
        return [item.upper() for item in items]

    items = ["ccc", "a", "dddd", "bb", "e"]
    assert in_sub_batches(items, predict, length=len, cut=Cut(2, 1)) == ["CCC", "A", "DDDD", "BB", "E"]
    assert seen == [["a", "e"], ["bb"], ["ccc", "dddd"]]


def time_of(passes: list[tuple[int, int]], lengths: list[float], overhead: int) -> float:
    return sum(overhead + (end - start) * max(lengths[start:end]) for start, end in passes)


@pytest.mark.parametrize("rows", [1, 2, 5, 9])
@pytest.mark.parametrize("overhead", [1, 10, 5000])
def test_no_other_passes_take_less(rows: int, overhead: int) -> None:
    made = random.Random(0)
    for count in range(10):
        lengths = sorted(made.choice([0, 1, 2.5, 10, 12, 300]) for _ in range(count))
        found = Cut(rows, overhead).passes(lengths)
        assert [place for start, end in found for place in range(start, end)] == list(range(count))
        every = []
        for marks in itertools.product([False, True], repeat=max(0, count - 1)):
            edges = [0, *(place + 1 for place, mark in enumerate(marks) if mark), count]
            passes = list(itertools.pairwise(edges)) if count else []
            if all(end - start <= rows for start, end in passes):
                every.append(time_of(passes, lengths, overhead))
        assert time_of(found, lengths, overhead) == min(every)


def test_no_items_are_not_predicted() -> None:
    assert in_sub_batches([], lambda _: pytest.fail("called"), length=len, cut=Cut(2, 1)) == []


@pytest.mark.parametrize("answers", [[], ["a"], ["a", "b", "c"]])
def test_another_number_of_answers_is_an_error(answers: list[str]) -> None:
    with pytest.raises(RuntimeError, match=f"predict gave {len(answers)} answers for 2 rows"):
        in_sub_batches(["x", "y"], lambda _: answers, length=len, cut=Cut(8, 1))

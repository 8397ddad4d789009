"""How rows of many requests become batches of the model, and how answers find their way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CHARACTERS_PER_TOKEN = 4
"""Of usual texts; where rows are cut before they are tokenized."""


def grouped(items: Sequence[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Items with equal keys together; groups and items in their first order."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


@dataclass(frozen=True)
class Cut:
    """How a batch is cut into passes through the model.

    Attributes:
        rows: The most in one pass, 1 or more.
        overhead: What a pass takes beside its rows, as long as so many places of padding take.
    """

    rows: int
    overhead: int

    def passes(self, lengths: Sequence[float]) -> list[tuple[int, int]]:
        """Where to cut rows so that all passes together take the least: the start and the end of each.

        Every row of a pass is padded to its longest, so a pass takes `overhead + rows x longest`: cutting more often
        saves padding and costs passes.

        Args:
            lengths: In tokens, ascending.
        """
        least = [0.0]  # of the first rows, by how many they are
        starts = [0]  # of the pass that ends with them
        for end, longest in enumerate(lengths, start=1):
            time, start = min(
                (least[start] + (end - start) * longest, start) for start in range(max(0, end - self.rows), end)
            )
            least.append(time + self.overhead)
            starts.append(start)
        found = []
        end = len(lengths)
        while end:
            found.append((starts[end], end))
            end = starts[end]
        return found[::-1]


def in_sub_batches(
    items: Sequence[Item],
    predict: Callable[[list[Item]], Sequence[Answer]],
    *,
    length: Callable[[Item], float],
    cut: Cut,
) -> list[Answer]:
    """Answers of all items, in their order, from passes of items of similar length.

    Args:
        items: In any order.
        predict: Answers the items of one pass.
        length: Of an item, in tokens or what comes close.
        cut: How many passes there are.

    Raises:
        RuntimeError: `predict` gave another number of answers than it got items.
    """
    lengths = [length(item) for item in items]
    order = sorted(range(len(items)), key=lengths.__getitem__)
    answers: dict[int, Answer] = {}
    for start, end in cut.passes([lengths[index] for index in order]):
        chosen = order[start:end]
        got = predict([items[index] for index in chosen])
        if len(got) != len(chosen):
            raise RuntimeError(f"predict gave {len(got)} answers for {len(chosen)} rows")
        answers.update(zip(chosen, got, strict=True))
    return [answers[index] for index in range(len(items))]

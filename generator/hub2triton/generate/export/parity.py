"""Whether a graph gives torch's numbers: at which shapes it is asked, and how far apart is too far. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

SHORTER = 2, 3
"""Two thirds of a length: short enough to be another shape, long enough for layers that shrink what they get."""

LEAST = 2


@dataclass(frozen=True)
class Limit:
    """How far a graph may be from torch.

    Attributes:
        measure: `relative`: the norm of the difference by the norm of torch's output. `angle`: one less the cosine
            between the two, since int8 moves all numbers a little while their directions stay.
        most: The most that is accepted.
    """

    measure: str
    most: float

    def of(self, found: Array, wanted: Array) -> float:
        """The distance of an output from torch's, which is of the same shape."""
        ours, theirs = found.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
        finite = np.isfinite(theirs)  # such as the score of what is masked: minus infinity on both sides
        if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
            return float("inf")
        ours, theirs = ours[finite], theirs[finite]
        scale = float(np.linalg.norm(theirs))
        if scale == 0.0:
            return float(np.linalg.norm(ours))
        if self.measure == "angle":
            return 1.0 - float(ours @ theirs) / (scale * float(np.linalg.norm(ours)) or float("inf"))
        return float(np.linalg.norm(ours - theirs)) / scale


LIMITS = {
    "fp32": Limit("relative", 1e-3),
    "fp16": Limit("relative", 2e-2),
    "bf16": Limit("relative", 2e-2),
    "int8": Limit("angle", 0.05),
}
"""By precision. Graphs of FP32 are mostly within 1e-5, where only the order of additions differs; a thousand times the
precision of FP32 leaves room for deep models, while an axis that was frozen or a mask that was lost gives far more. The
halves have two or three digits, which many layers wear down."""


@dataclass
class Comparison:
    """The distances at all shapes so far.

    Attributes:
        largest: The largest difference of two numbers.
        outputs: The worst distance of each output.
        shapes: The inputs' shapes that were compared, in words.
    """

    largest: float
    outputs: dict[str, float]
    shapes: list[str]

    def add(self, limit: Limit, inputs: Arrays, found: Arrays, wanted: Arrays, names: Collection[str]) -> None:
        """Compares the named outputs of one batch.

        Raises:
            ValueError: An output has another shape than torch's, or is too far from it.
        """
        shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in inputs.items())
        for name in names:
            if found[name].shape != wanted[name].shape:
                raise ValueError(
                    f"its output {name} has the shape {list(found[name].shape)} where torch's has "
                    f"{list(wanted[name].shape)}, for inputs of {shapes}"
                )
            distance = limit.of(found[name], wanted[name])
            self.outputs[name] = max(self.outputs.get(name, 0.0), distance)
            self.largest = max(self.largest, _largest(found[name], wanted[name]))
            if not distance <= limit.most:  # so that nan is refused as well
                raise ValueError(
                    f"its output {name} differs from torch's: the {limit.measure} error is {distance:.3g}, and "
                    f"{limit.most:g} is allowed, for inputs of {shapes}"
                )
        self.shapes.append(shapes)


def batches(sample: Arrays, works: Callable[[Arrays], bool]) -> Iterator[Arrays]:
    """Batches to compare at: what was recorded, in other sizes and shapes; those only that torch takes.

    Args:
        sample: Inputs by name, of two rows or more.
        works: Whether torch computes a batch.
    """
    yield sample
    for changed in (alone(sample), _joined(sample, alone(sample)), masked(sample)):
        if changed is not None and works(changed):
            yield changed
    sizes = {size for array in sample.values() for size in array.shape[1:]}
    for size in sorted(sizes):
        # An axis is shortened wherever its size occurs: the mask of a text is as long as the text. A model that reads
        # something at the end of what it gets, such as its last token, must keep the end.
        ways = (shorter(sample, size, keep_end=keep_end) for keep_end in (False, True))
        found = next((changed for changed in ways if changed is not None and works(changed)), None)
        if found is not None:
            yield found


def doubled(sample: Arrays, works: Callable[[Arrays], bool]) -> Arrays:
    """A batch of two rows or more: exporters take an axis of one for one that never changes.

    The second row is the first one turned round where torch takes that, so that rows that get mixed up are seen.
    """
    if min(len(array) for array in sample.values()) > 1:
        return sample
    turned = {
        name: np.concatenate([array, np.flip(array, -1) if array.ndim > 1 else array]) for name, array in sample.items()
    }
    return turned if works(turned) else {name: np.concatenate([array, array]) for name, array in sample.items()}


def alone(sample: Arrays) -> Arrays:
    """Its first row."""
    return {name: array[:1] for name, array in sample.items()}


def masked(sample: Arrays) -> Arrays | None:
    """The sample with padding: the last row's masks end early; None where it has no mask."""
    masks = [name for name, array in sample.items() if name.endswith("mask") and array.shape[-1] > LEAST]
    if not masks:
        return None
    changed = {name: array.copy() if name in masks else array for name, array in sample.items()}
    for name in masks:
        changed[name][-1, ..., _shortened(changed[name].shape[-1]) :] = 0
    return changed


def shorter(sample: Arrays, size: int, *, keep_end: bool) -> Arrays | None:
    """The sample with all axes of a size cut, the batch's apart; None where that is too short to be cut."""
    length = _shortened(size)
    if length == size:
        return None
    part = slice(-length, None) if keep_end else slice(length)
    return {
        name: array[(slice(None), *(part if axis == size else slice(None) for axis in array.shape[1:]))]
        for name, array in sample.items()
    }


def of_tokens(inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
    """Outputs without what stands for padding: where one has something for each place of a text, that of its tokens.

    Args:
        inputs: Of a text model, its mask among them.
        outputs: What it gave.
    """
    mask = inputs["attention_mask"].astype(bool)
    return {name: array[mask] if array.shape[:2] == mask.shape else array for name, array in outputs.items()}


def _shortened(size: int) -> int:
    return max(min(size, LEAST), size * SHORTER[0] // SHORTER[1])


def _joined(one: Arrays, other: Arrays) -> Arrays:
    return {name: np.concatenate([one[name], other[name]]) for name in one}


def _largest(found: Array, wanted: Array) -> float:
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(theirs)
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))

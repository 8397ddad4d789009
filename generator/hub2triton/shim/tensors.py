"""Rows as the arrays of requests to Triton, and arrays of its responses as rows. Numpy only: no Triton in here."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from hub2triton.tasks.media import Link
from hub2triton.tensor import COUNT, PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hub2triton.tasks.spec import Answer, Row
    from hub2triton.tensor import TensorSpec

    Array = np.ndarray[Any, Any]


def longest_first(rows: Sequence[Row]) -> list[int]:
    """The places of rows in the order in which they are best cut into chunks.

    Rows of similar length go together, so that little is padded, and so do lists of equal numbers, which can share a
    tensor. The short ones come last, so that all instances of a model end at about the same time.
    """
    sizes = [_size(row) for row in rows]
    return sorted(range(len(rows)), key=sizes.__getitem__, reverse=True)


def chunks(rows: Sequence[Row], inputs: Sequence[TensorSpec], size: int) -> Iterator[dict[str, Array]]:
    """The arrays of one request after the other, by input name: at most `size` rows of equal shapes each.

    The order of rows is kept. Rows whose lists differ in length cannot share a tensor, so they go into requests
    of their own, which Triton may still merge into one batch.
    """
    wanted = [tensor for tensor in inputs if tensor.name != PARAMETERS.name]
    arrays = [[_array(row[tensor.name], tensor) for tensor in wanted] for row in rows]
    for _, run in groupby(arrays, key=lambda row: [array.shape for array in row]):
        alike = list(run)
        for start in range(0, len(alike), size):
            columns = zip(*alike[start : start + size], strict=True)
            yield {tensor.name: np.stack(column) for tensor, column in zip(wanted, columns, strict=True)}


def answers(arrays: Mapping[str, Array], outputs: Sequence[TensorSpec]) -> list[Answer]:
    """The rows of a response, each list cut to its own length where the response tells it by `count`."""
    counts = arrays.get(COUNT.name)
    ragged = {tensor.name for tensor in outputs if tensor.dims[0] == -1}
    rows = len(next(iter(arrays.values())))
    result = []
    for index in range(rows):
        row = {name: _wide(array[index]) for name, array in arrays.items() if name != COUNT.name}
        if counts is not None:
            length = int(counts[index][0])
            row = {name: value[:length] if name in ragged else value for name, value in row.items()}
        result.append(row)
    return result


def _size(row: Row) -> tuple[list[int], int]:
    """How many elements the lists of a row have, and the characters or bytes in it."""
    lists = [value for value in row.values() if isinstance(value, list)]
    alone = [value for value in row.values() if isinstance(value, str | bytes)]
    return [len(items) for items in lists], sum(map(len, alone)) + sum(len(item) for items in lists for item in items)


def _wide(array: Array) -> Array:
    # Python writes a float32 with the digits of the float64 of the same value, and so do the reference's answers.
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _array(value: str | bytes | Link | list[str], tensor: TensorSpec) -> Array:
    if isinstance(value, Link):
        raise TypeError(f"the link in {tensor.name} was not followed")
    items = value if isinstance(value, list) else [value]
    encoded = [item.encode() if isinstance(item, str) else item for item in items]
    array: Array = np.empty(len(encoded), dtype=np.object_)  # np.array would make fixed-width strings of bytes
    array[:] = encoded
    return array.reshape(tensor.dims if not tensor.ragged else -1)

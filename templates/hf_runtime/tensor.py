"""Rows out of a request's arrays, and a response's arrays out of answers. Numpy only: no Triton in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .settings import Tensor

    Array = np.ndarray[Any, Any]

NUMPY_TYPES: dict[str, Any] = {
    "TYPE_STRING": np.object_,
    "TYPE_FP32": np.float32,
    "TYPE_INT32": np.int32,
    "TYPE_UINT8": np.uint8,
    "TYPE_BOOL": np.bool_,
}


def split(inputs: Mapping[str, Array]) -> list[dict[str, Array]]:
    """One mapping a row, out of arrays of shape [B, …].

    Raises:
        InvalidInput: The inputs do not have the same number of rows.
    """
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InvalidInput(f"the inputs must have the same number of rows, but have: {told}")
    rows = next(iter(sizes.values()), 0)
    return [{name: array[index] for name, array in inputs.items()} for index in range(rows)]


def pack(answers: Sequence[Mapping[str, Any]], outputs: Sequence[Tensor]) -> dict[str, Array]:
    """Arrays of shape [B, …] out of the answers of a request's B rows.

    Lists are padded to the longest row, with zeros or empty strings. The output `count`, where config.pbtxt
    declares it, is filled with each row's own length of the first output whose length varies.
    """
    packed: dict[str, Array] = {}
    counts: Array | None = None
    for output in outputs:
        if output.name == "count":
            continue
        values = [_array(answer[output.name], output) for answer in answers]
        if counts is None and output.dims[0] == -1:
            counts = np.array([[len(value)] for value in values], dtype=np.int32)
        packed[output.name] = _stacked(values)
    if counts is not None and any(output.name == "count" for output in outputs):
        packed["count"] = counts
    return packed


def _array(value: Any, output: Tensor) -> Array:
    if output.datatype == "TYPE_STRING":
        value = _encoded(value)
    array: Array = np.asarray(value, dtype=NUMPY_TYPES[output.datatype])
    if array.ndim == 0:
        return array.reshape(1)
    if array.size == 0 and array.ndim < len(output.dims):  # an empty list does not show the dims of its items
        return array.reshape(0, *(max(dim, 0) for dim in output.dims[1:]))
    return array


def _encoded(value: Any) -> Any:
    """Strings as UTF-8 bytes, at any depth."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else [_encoded(item) for item in value]


def _stacked(values: Sequence[Array]) -> Array:
    shapes = {value.shape for value in values}
    if len(shapes) == 1:
        return np.stack(values)
    longest = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
    empty: Any = b"" if values[0].dtype == np.object_ else 0
    stacked: Array = np.full((len(values), *longest), empty, dtype=values[0].dtype)
    for index, value in enumerate(values):
        stacked[(index, *(slice(size) for size in value.shape))] = value
    return stacked

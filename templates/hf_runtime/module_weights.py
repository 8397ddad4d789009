"""The weights of a small module, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
"""The types of safetensors that numpy has too; it has no BF16, which is the upper half of an FP32."""


def read(folder: Path) -> dict[str, Array]:
    """The tensors of a module's folder by name, in FP32.

    Raises:
        FileNotFoundError: The folder has no weights.
        KeyError: They are of a type that is no fraction.
    """
    import safetensors  # most models have no such module, and a graph needs nothing else of this package

    found = safetensors.deserialize((folder / "model.safetensors").read_bytes())  # type: ignore[no-untyped-call]
    return {name: _array(**tensor) for name, tensor in found}


def _array(*, dtype: str, shape: list[int], data: bytes) -> Array:
    if dtype == "BF16":
        wide = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    return np.frombuffer(data, TYPES[dtype]).astype(np.float32).reshape(shape)

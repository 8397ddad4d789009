"""Tensors as a task declares them; the names and datatypes are Triton's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class DataType(Enum):
    """A datatype, by its name in the KServe v2 protocol; `config` is its name in config.pbtxt."""

    BYTES = "BYTES"
    FP32 = "FP32"
    INT32 = "INT32"

    @property
    def config(self) -> str:
        """The name in config.pbtxt."""
        return "TYPE_STRING" if self is DataType.BYTES else f"TYPE_{self.value}"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        dims: Of one row, without the batch dimension; -1 where the length varies.
        description: What it holds, in a few words; it becomes a comment in config.pbtxt.
        optional: Whether a request may leave it out.
    """

    name: str
    datatype: DataType
    dims: tuple[int, ...]
    description: str
    optional: bool = False

    @property
    def ragged(self) -> bool:
        """Whether rows of several lengths exist."""
        return -1 in self.dims


PARAMETERS = TensorSpec(
    "parameters_json",
    DataType.BYTES,
    (1,),
    "Hugging Face `parameters` as a JSON object; send {} rather than nothing, or requests batch less well",
    optional=True,
)
COUNT = TensorSpec("count", DataType.INT32, (1,), "how long each row's list is; shorter rows are padded")

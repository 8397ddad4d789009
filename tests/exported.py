"""Tiny models generated with --onnx: an export takes many seconds, so each is made once and then shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.asked import Asked

from hub2triton.generate.options import DType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Exported:
    """The exported models of a session.

    Attributes:
        output: A folder with a model repository for each precision.
    """

    def __init__(self, tiny: Callable[[str], Path], output: Path) -> None:
        self._tiny = tiny
        self.output = output

    def __call__(self, task: str, family: str, precision: DType = DType.FP32) -> Asked:
        """A model in this process, computed from its graph; a second call finds the graph in the folder."""
        output = self.output / precision.value
        return Asked(task, self._tiny(family), output, onnx=True, dtype=precision)

"""What the process that makes a graph is asked, and what it answers: a JSON file each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = "model.onnx"
DESCRIPTION = "onnx.json"
TOKENIZER = "tokenizer.json"
"""What lies in the folder of a graph afterwards; the tokenizer's file only where the model has one."""


@dataclass(frozen=True)
class Request:
    """One graph to make and to compare.

    Attributes:
        model: A model's folder as it is generated for torch.
        graph: The folder of the graph. A published one is in it; else it is empty.
        exporter: How the graph is made; None where it is there.
        task: The task whose example is asked.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        has_weights: Whether the model has weights for torch, to compare with.
        packs: Whether layers that can leave out padding are to do so.
    """

    model: str
    graph: str
    exporter: str | None
    task: str
    precision: str
    has_weights: bool
    packs: bool = False

    def write(self, path: Path) -> None:
        """Writes it down."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Request:
        """Reads what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        error: Why there is no graph that fits; None where there is one.
        largest_difference: Between an output's number and torch's; None where there was nothing to compare with.
        outputs: For each output that was compared, how far it is from torch's at worst, in the measure of parity.Limit.
        measure: What that measure is.
        compared: The shapes of the inputs at which it was compared, in words.
        packed: Whether its layers leave out padding.
    """

    error: str | None = None
    largest_difference: float | None = None
    measure: str | None = None
    outputs: dict[str, float] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)
    packed: bool = False

    def write(self, path: Path) -> None:
        """Writes it down."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report | None:
        """Reads what `write` wrote; None where nothing was."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(**found)

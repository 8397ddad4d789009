"""The table of tasks in the README, made of the registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hub2triton import tasks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub2triton.tasks.spec import TaskSpec
    from hub2triton.tensor import TensorSpec

HEAD = "| Task | A request | Input tensors | Output tensors |\n|---|---|---|---|\n"

FILE = re.compile(r'(?<="[A-Za-z0-9+/]{12})[A-Za-z0-9+/]{100,}=*(?=")')
"""All but the beginning of a file in base64."""


def markdown() -> str:
    """The table, one line a task, sorted by name."""
    specs = sorted(tasks.SPECS, key=lambda spec: spec.name)
    return HEAD + "".join(_line(spec) for spec in specs)


def _line(spec: TaskSpec) -> str:
    also = f"<br>also `{'`, `'.join(spec.aliases)}`" if spec.aliases else ""
    outputs = [_tensors(variant.outputs) for variant in spec.variants.values()]
    if len(outputs) > 1:
        outputs = [f"{text} ({library.value})" for text, library in zip(outputs, spec.variants, strict=True)]
    request = FILE.sub("…", spec.example_json()).replace("|", "\\|")
    return f"| `{spec.name}`{also} | `{request}` | {_tensors(spec.inputs)} | {'<br>'.join(outputs)} |\n"


def _tensors(tensors: Iterable[TensorSpec]) -> str:
    return ", ".join(f"`{t.name}` {t.datatype.value} {list(t.dims)}" for t in tensors)

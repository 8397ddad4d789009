"""The registry of tasks: every task is described once, in one of this package's modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hub2triton.tasks import answering, causal, classification, embeddings, ranking, seq2seq, tagging

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = (
    *embeddings.SPECS,
    *classification.SPECS,
    *tagging.SPECS,
    *answering.SPECS,
    *ranking.SPECS,
    *seq2seq.SPECS,
    *causal.SPECS,
)
"""All tasks, family by family."""

_BY_NAME = {name: spec for spec in SPECS for name in (spec.name, *spec.aliases)}


def find(name: str) -> TaskSpec | None:
    """The task of a name, an alias or a name that fits a task's pattern; None where there is none."""
    by_pattern = (spec for spec in SPECS if spec.pattern is not None and re.fullmatch(spec.pattern, name))
    return _BY_NAME.get(name) or next(by_pattern, None)


def names() -> list[str]:
    """The tasks' own names, sorted."""
    return sorted(spec.name for spec in SPECS)

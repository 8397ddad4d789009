"""The registry of tasks: every task is described once, in one of this package's modules."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from hub2triton.tasks import (
    answering,
    audio,
    causal,
    classification,
    custom,
    detection,
    diffusion,
    embeddings,
    ranking,
    seq2seq,
    tagging,
    vision,
    visual_answering,
)

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = (
    *vision.SPECS,  # before the texts', whose patterns of class names are wider
    *visual_answering.SPECS,
    *detection.SPECS,
    *embeddings.SPECS,
    *audio.SPECS,  # before the texts', whose patterns of class names are wider
    *classification.SPECS,
    *tagging.SPECS,
    *answering.SPECS,
    *ranking.SPECS,
    *seq2seq.SPECS,
    *causal.SPECS,
    *diffusion.SPECS,
    *custom.SPECS,
)
"""All tasks, family by family."""

_BY_NAME = {name: spec for spec in SPECS for name in (spec.name, *spec.aliases)}


def find(name: str) -> TaskSpec | None:
    """The task of a name, an alias or a name that fits a task's pattern; None where there is none."""
    by_pattern = (spec for spec in SPECS if spec.pattern is not None and re.fullmatch(spec.pattern, name))
    return _BY_NAME.get(name) or next(by_pattern, None)


@cache
def endpoints() -> list[str]:
    """The paths of all tasks' endpoints, sorted."""
    return sorted({endpoint.path for spec in SPECS for endpoint in spec.endpoints})


def names() -> list[str]:
    """The tasks' own names, sorted."""
    return sorted(spec.name for spec in SPECS)

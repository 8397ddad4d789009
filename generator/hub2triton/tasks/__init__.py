"""The registry of tasks: every task is described once, in one of this package's modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton.tasks import embeddings

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = (*embeddings.SPECS,)
"""All tasks, family by family."""

_BY_NAME = {name: spec for spec in SPECS for name in (spec.name, *spec.aliases)}


def find(name: str) -> TaskSpec | None:
    """The task of a name or an alias; None where there is none."""
    return _BY_NAME.get(name)


def names() -> list[str]:
    """The tasks' own names, sorted."""
    return sorted(spec.name for spec in SPECS)

"""How well texts answer a query: sentence-ranking, by a cross-encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = ()

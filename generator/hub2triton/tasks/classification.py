"""Labels for texts: text-classification, token-classification, fill-mask and zero-shot-classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = ()

"""Answers out of what is given: question-answering over a text, table-question-answering over a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = ()

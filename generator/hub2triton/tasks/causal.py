"""Texts continued and chats answered: text-generation and conversational, by causal models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = ()

"""Texts rewritten: summarization, translation and text2text-generation, by encoder-decoder models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec

SPECS: tuple[TaskSpec, ...] = ()

"""The model card: what the front matter of a model's README.md says about the model."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

NAME = "README.md"

# Far above the largest cards, and low enough that a stray file of that name costs nothing.
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Card:
    """What a card says, each None where it says nothing usable.

    Attributes:
        pipeline_tag: The Hub's name of the task.
        library_name: The library the model is loaded with.
    """

    pipeline_tag: str | None = None
    library_name: str | None = None


def read(root: Path) -> Card:
    """Reads the card of the model in a directory.

    Never fails: people write cards by hand, and a broken one must not keep a model from being served. An absent,
    unreadable or broken card is an empty one.
    """
    try:
        with (root / NAME).open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return Card()
    lines = _front_matter(text)
    return Card(pipeline_tag=_word(lines, "pipeline_tag"), library_name=_word(lines, "library_name"))


def _front_matter(text: str) -> list[str]:
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return []
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), 0)
    return lines[1:end]


def _word(lines: list[str], key: str) -> str | None:
    # Parsed by itself, not as a part of the whole: an error elsewhere then hides nothing, and cards with thousands of
    # benchmark results cost nothing. LibYAML would be fast as well, but deep nesting crashes the whole process there.
    entry = re.compile(rf"{key}\s*:(?:\s|$)")
    starts = [number for number, line in enumerate(lines) if entry.match(line)]
    if not starts:
        return None
    more = itertools.takewhile(lambda line: line[:1].isspace(), lines[starts[-1] + 1 :])
    try:
        metadata = yaml.safe_load("\n".join([lines[starts[-1]], *more]))
    # ValueError: a date that is none; RecursionError: absurd nesting.
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    value = metadata.get(key) if isinstance(metadata, dict) else None
    return value.strip() or None if isinstance(value, str) else None

"""The model card: what the front matter of a model's README.md says about the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

NAME = "README.md"

# Cards with thousands of benchmark results exist; the C parser reads them ten times faster, where PyYAML has it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

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
    metadata = _front_matter(text)
    return Card(pipeline_tag=_word(metadata, "pipeline_tag"), library_name=_word(metadata, "library_name"))


def _front_matter(text: str) -> dict[Any, Any]:
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), 0)
    try:
        # ValueError: a date that is none; RecursionError: absurd nesting.
        metadata = yaml.load("\n".join(lines[1:end]), Loader=_Loader)  # noqa: S506 - one of the two safe loaders
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _word(metadata: dict[Any, Any], key: str) -> str | None:
    value = metadata.get(key)
    return value.strip() or None if isinstance(value, str) else None

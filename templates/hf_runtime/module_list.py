"""What sentence-transformers says of a model that it saved: modules.json and config_sentence_transformers.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = "sentence_transformers."


@dataclass(frozen=True)
class ListedModule:
    """One of the modules that a text goes through.

    Attributes:
        kind: The name of its class in the library; empty for a class from elsewhere, or one that wants more arguments.
        folder: Where its files are.
    """

    kind: str
    folder: Path


def read(folder: Path) -> list[ListedModule] | None:
    """The modules in their order; None of a plain model, which has no such list."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return None
    return [
        ListedModule(
            entry["type"].rpartition(".")[2] if entry["type"].startswith(LIBRARY) and not entry.get("kwargs") else "",
            folder / entry["path"],
        )
        for entry in json.loads(listed.read_text(encoding="utf-8"))
    ]

"""What a model's own small files say: its architecture and the library that made it."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub2triton.error import TaskMismatchError
from hub2triton.tasks.spec import Library

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILES = ("config.json", "modules.json", "config_sentence_transformers.json", "model_index.json")
"""The files that `read` looks into; a model has some of them."""


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes:
        architectures: Class names of config.json, such as BertForSequenceClassification.
        library: The library whose own file is there: modules.json is sentence-transformers'.
        kind: What sentence-transformers calls the model: SentenceTransformer, CrossEncoder or another.
        diffusers: Whether it is a diffusion pipeline (model_index.json).
    """

    architectures: tuple[str, ...]
    library: Library | None
    diffusers: bool
    kind: str | None = None


def read(folder: Path) -> Facts:
    """Reads the files of `FILES` that are in a folder.

    Raises:
        TaskMismatchError: One of them is not JSON of the expected form.
    """
    config = _object(folder / "config.json")
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list):
        raise TaskMismatchError("config.json is damaged: its architectures are no list; save the model anew")
    library = kind = None
    if (folder / "modules.json").is_file():
        library = Library.SENTENCE_TRANSFORMERS
        # Older versions, which knew but one kind, did not say it.
        kind = str(_object(folder / "config_sentence_transformers.json").get("model_type", "SentenceTransformer"))
    if library is None and (folder / "config.json").is_file():
        library = Library.TRANSFORMERS
    return Facts(tuple(map(str, architectures)), library, (folder / "model_index.json").is_file(), kind)


def matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any of the names fits any of the glob patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise TaskMismatchError(
            f"{path.name} of the model cannot be read ({error}); save or download it anew"
        ) from None
    if not isinstance(value, dict):
        raise TaskMismatchError(f"{path.name} of the model holds no JSON object; save or download it anew")
    return value

"""What a sentence-transformers model puts before texts, and how long its vectors are to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import json_file
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KIND = "SentenceTransformer"


@dataclass(frozen=True)
class Prompts:
    """The content of config_sentence_transformers.json.

    Attributes:
        texts: By their names; every model has query and document, if only empty ones.
        default: The name of the one that is used where a request names none.
        truncate_dim: Numbers that are kept of each vector; None for all.
    """

    texts: Mapping[str, str]
    default: str | None = None
    truncate_dim: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Prompts:
        """Those of a folder.

        Raises:
            ValueError: The default is not among them.
        """
        config = json_file.read(folder / "config_sentence_transformers.json")
        if not (folder / "modules.json").is_file() or config.get("model_type", KIND) != KIND:
            config = {}  # it is about another kind of model
        texts = {"query": "", "document": "", **{name: text or "" for name, text in config.get("prompts", {}).items()}}
        default = config.get("default_prompt_name")
        if default is not None and default not in texts:
            raise ValueError(
                f"config_sentence_transformers.json names the default prompt {default!r}, but has: {', '.join(texts)}; "
                "correct it"
            )
        return cls(texts, default, config.get("truncate_dim"))

    def text(self, name: str | None) -> str:
        """What is put before each text.

        Args:
            name: As a request gives it; None for the default.

        Raises:
            InvalidInput: There is no such prompt.
        """
        if name is not None and name not in self.texts:
            raise InvalidInput(f"unknown prompt_name {name!r}; this model has: {', '.join(self.texts)}")
        chosen = self.default if name is None else name
        return "" if chosen is None else self.texts[chosen]

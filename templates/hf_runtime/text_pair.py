"""A text, with the second one that some classifiers compare it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .row import Row


@dataclass(frozen=True)
class TextPair:
    """One text, or two.

    Attributes:
        pair: The second text; None where there is none. To transformers an empty one is none, too.
    """

    text: str
    pair: str | None = None

    @classmethod
    def of(cls, row: Row) -> TextPair:
        """The inputs `text` and `text_pair` of a row; the second is optional."""
        pair = row.text("text_pair") if "text_pair" in row.tensors else ""
        return cls(row.text("text"), pair or None)

    def __len__(self) -> int:
        return len(self.text) + len(self.pair or "")

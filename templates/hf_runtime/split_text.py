"""A text that comes as a list of its words."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .error import InvalidInput


@dataclass(frozen=True)
class SplitText:
    """Words, and what stands between them in the text that they make.

    Attributes:
        words: In their order.
        delimiter: Between each two of them.
    """

    words: list[str]
    delimiter: str

    @classmethod
    def of(cls, text: str, delimiter: str) -> SplitText:
        """Reads the words from JSON.

        Raises:
            InvalidInput: No list of strings.
        """
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):  # also a number of thousands of digits, and endless nesting
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InvalidInput('with is_split_into_words a text must be a JSON list of words, such as ["a", "dog"]')
        try:
            "".join(words).encode()
        except UnicodeEncodeError:
            raise InvalidInput("a word holds half of a character, such as \\ud800; send whole ones") from None
        return cls(words, delimiter)

    @property
    def text(self) -> str:
        """The words as one text."""
        return self.delimiter.join(self.words)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Each word's first character in the text, and the one behind its last."""
        found, start = [], 0
        for word in self.words:
            found.append((start, start + len(word)))
            start += len(word) + len(self.delimiter)
        return found

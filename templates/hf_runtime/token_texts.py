"""The text of single tokens, which depends on those before them: spaces, and letters of several tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .decoding import SLACK, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

UNFINISHED = "\ufffd"
"""What tokenizers write for a part of a letter."""


def texts(tokenizer: Any, ids: Sequence[int], begin: int) -> list[str]:
    """The texts of the tokens from one on, which together are what these tokens add to those before them.

    A token that ends in the middle of a letter has no text; the one that ends the letter, or the row, has all of it.
    """
    found = []
    seen = max(0, begin - SLACK)
    told = begin
    for end in range(begin + 1, len(ids) + 1):
        text = _added(tokenizer, ids[seen:told], ids[told:end])
        if text.endswith(UNFINISHED) and end < len(ids):
            text = ""
        else:
            seen, told = max(0, end - SLACK), end
        found.append(text)
    return found


def after(tokenizer: Any, ids: Sequence[int], token: int) -> str:
    """The text that a token has behind others."""
    return _added(tokenizer, ids[max(0, len(ids) - SLACK) :], [token])


def _added(tokenizer: Any, before: Sequence[int], new: Sequence[int]) -> str:
    known, whole = (text_of(tokenizer, ids) for ids in ([*before], [*before, *new]))
    # Parts of a letter before it may have become one, which is then the new tokens' text.
    known = known.rstrip(UNFINISHED)
    return whole[len(known) :] if whole.startswith(known) else text_of(tokenizer, [*new])

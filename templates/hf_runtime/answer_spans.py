"""The answers that an extractive model finds in a context: spans of tokens, as spans of characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

Encoding = Any
"""A `tokenizers.Encoding`: the tokens of a question and of a part of its context, and where they are in them."""


@dataclass
class Span:
    """An answer.

    Attributes:
        score: Its probability; that of equal answers elsewhere in the context is added.
        start: Its first character in the context.
        end: The character behind its last one.
        text: What stands there; empty where the context holds no answer.
    """

    score: float
    start: int
    end: int
    text: str


class AnswerSpans:
    """Collects the answers of one context, window by window, as the pipeline of transformers 4 did.

    A window is a part of the context, tokenized together with the question; windows overlap.
    """

    def __init__(self, context: str, cls_token_id: int | None, *, longest: int, candidates: int, words: bool) -> None:
        """Begins with none.

        Args:
            context: The whole of it.
            cls_token_id: The token that stands for "no answer".
            longest: Tokens that an answer may have.
            candidates: Spans to take from each window.
            words: Whether answers begin and end with whole words.
        """
        self.context = context
        self.cls_token_id = cls_token_id
        self.longest = longest
        self.candidates = candidates
        self.words = words
        self.no_answer = np.inf  # the probability that there is none, by the window that believes it least
        self._found: dict[str, Span] = {}

    def add(self, window: Encoding, start_logits: Array, end_logits: Array) -> None:
        """Takes the answers of one window, from logits of shape [tokens]."""
        # The softmax goes over the context and the token for "no answer", which comes first.
        open_to_answers = np.array([sequence == 1 for sequence in window.sequence_ids])
        read = open_to_answers | (np.array(window.ids) == self.cls_token_id)
        start, end = _probabilities(start_logits, read), _probabilities(end_logits, read)
        self.no_answer = min(self.no_answer, float(start[0] * end[0]))
        scores = span_scores(start * open_to_answers, end * open_to_answers, self.longest)
        for first, last in _best(scores, self.candidates):
            begin, stop = self._characters(window, first, last)
            text = self.context[begin:stop]
            span = self._found.setdefault(text.lower(), Span(0.0, begin, stop, text))
            span.score += float(scores[first, last - first])

    def best(self, count: int, *, or_none: bool) -> list[Span]:
        """At most `count` answers, the likeliest first; at least one, which may be empty.

        Args:
            count: The most to give.
            or_none: Whether the empty answer is one of those to choose from.
        """
        found = list(self._found.values())
        if or_none:
            found.append(Span(self.no_answer, 0, 0, ""))
        found.sort(key=lambda span: -span.score)
        return found[:count] or [Span(0.0, 0, 0, "")]

    def _characters(self, window: Encoding, first: int, last: int) -> tuple[int, int]:
        """The characters of a span of tokens, or of the words that they are parts of."""
        if self.words:
            begins, ends = (_word(window, token) for token in (first, last))
            if begins is not None and ends is not None:  # some tokenizers know no words
                return begins[0], ends[1]
        return int(window.offsets[first][0]), int(window.offsets[last][1])


def span_scores(start: Array, end: Array, longest: int) -> Array:
    """The probability of every span of at most `longest` tokens.

    Args:
        start: The probability of each token to be the first, of shape [tokens].
        end: The probability of each token to be the last, of shape [tokens].
        longest: In tokens.

    Returns:
        Of shape [tokens, min(longest, tokens)]: the span of token i and the j tokens behind it is at [i, j].
    """
    longest = min(longest, len(start))
    padded = np.concatenate([end, np.zeros(longest - 1)])
    scores: Array = start[:, None] * np.lib.stride_tricks.sliding_window_view(padded, longest)
    return scores


def _probabilities(logits: Array, read: Array) -> Array:
    masked = np.where(read, logits.astype(np.float64), -1e4)
    exponentials = np.exp(masked - masked.max())
    probabilities: Array = exponentials / exponentials.sum()
    return probabilities


def _word(window: Encoding, token: int) -> tuple[int, int] | None:
    """The characters of the word of the context that a token is a part of."""
    word = window.token_to_word(token)
    characters: tuple[int, int] | None = None if word is None else window.word_to_chars(word, sequence_index=1)
    return characters


def _best(scores: Array, count: int) -> list[tuple[int, int]]:
    """First and last tokens of the best spans that are possible at all, the best first."""
    flat = scores.ravel()
    chosen = np.argpartition(-flat, count)[:count] if count < len(flat) else np.arange(len(flat))
    chosen = chosen[np.argsort(-flat[chosen], kind="stable")]
    firsts, more = np.unravel_index(chosen[flat[chosen] > 0], scores.shape)
    return list(zip(firsts.tolist(), (firsts + more).tolist(), strict=True))

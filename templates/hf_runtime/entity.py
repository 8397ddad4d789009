"""The entities that tokens make, put together as transformers' pipeline of this task does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .entity_token import EntityToken, Place

    Array = np.ndarray[Any, Any]

    Join = Callable[[list[str]], str]
    """Makes a text of tokens, or of words."""

Strategy = Literal["none", "simple", "first", "average", "max"]

WORD_SCORES: dict[str, Callable[[Sequence[EntityToken]], Array]] = {
    "first": lambda tokens: tokens[0].scores,
    "average": lambda tokens: np.nanmean([token.scores for token in tokens], axis=0),
    "max": lambda tokens: max(tokens, key=lambda token: token.scores.max()).scores,
}
"""By the strategies for which all tokens of a word have one label: the scores of the word, FP32 [labels]."""

OUTSIDE = ("O",)
"""Labels that are left out where the caller names none."""

BEGINS, GOES_ON = "B-", "I-"
"""How labels begin that tell where an entity begins, and what is inside it."""


@dataclass(frozen=True)
class Entity:
    """A part of a text that has a label.

    Attributes:
        label: Its label; without prefix where tokens were put together.
        score: The label's probability.
        word: Its text, as the tokenizer spells it.
        place: Where it is; None where the tokenizer does not tell.
        index: The number of the token in its window; None where tokens were put together.
    """

    label: str
    score: float
    word: str
    place: Place | None
    index: int | None = None


def entities(tokens: Sequence[EntityToken], strategy: Strategy, labels: Mapping[int, str], join: Join) -> list[Entity]:
    """The entities of one window, in the order of the text, also those outside of any.

    Args:
        tokens: In their order.
        strategy: How they are put together; with `none` each is an entity by itself.
        labels: The model's own, by their places among the scores.
        join: The tokenizer's way back to a text.
    """
    if strategy in WORD_SCORES:
        found = [_word(word, WORD_SCORES[strategy](word), labels, join) for word in _words(tokens)]
    else:
        found = [_token(token, labels) for token in tokens]
    return found if strategy == "none" else [_merged(run, join) for run in _runs(found)]


def without_overlaps(windows: Sequence[Sequence[Entity]]) -> list[Entity]:
    """The entities of a text: of those that several windows gave for the same characters the longest, then the surest.

    Args:
        windows: The entities of each; with their places where there are several.
    """
    if len(windows) == 1:
        return list(windows[0])
    ordered = sorted((entity for window in windows for entity in window), key=lambda entity: _span(entity)[0])
    kept = ordered[:1]
    for entity in ordered:  # the first one too: where it has no characters, transformers gives it twice
        start, end = _span(kept[-1])
        if start <= _span(entity)[0] < end:
            kept[-1] = max(kept[-1], entity, key=lambda one: (_span(one)[1] - _span(one)[0], one.score))
        else:
            kept.append(entity)
    return kept


def _token(token: EntityToken, labels: Mapping[int, str]) -> Entity:
    best = int(token.scores.argmax())
    return Entity(labels[best], float(token.scores[best]), token.word, token.place, token.index)


def _words(tokens: Sequence[EntityToken]) -> list[list[EntityToken]]:
    """The tokens of each word."""
    words: list[list[EntityToken]] = []
    for token in tokens:
        if words and token.inside:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _word(tokens: Sequence[EntityToken], scores: Array, labels: Mapping[int, str], join: Join) -> Entity:
    best = int(scores.argmax())
    place = _across(tokens[0].place, tokens[-1].place)
    return Entity(labels[best], float(scores[best]), join([token.word for token in tokens]), place)


def _runs(found: Sequence[Entity]) -> list[list[Entity]]:
    """Neighbours that belong together: those of one label, until one begins anew."""
    runs: list[list[Entity]] = []
    for entity in found:
        if runs and not entity.label.startswith(BEGINS) and _kind(entity) == _kind(runs[-1][-1]):
            runs[-1].append(entity)
        else:
            runs.append([entity])
    return runs


def _kind(entity: Entity) -> str:
    """The label without its prefix."""
    return entity.label[2:] if entity.label.startswith((BEGINS, GOES_ON)) else entity.label


def _merged(run: Sequence[Entity], join: Join) -> Entity:
    label = run[0].label.split("-", 1)[-1]  # without anything up to the first dash: transformers does not ask what
    score = float(np.nanmean(np.array([entity.score for entity in run], dtype=np.float32)))
    return Entity(label, score, join([entity.word for entity in run]), _across(run[0].place, run[-1].place))


def _span(entity: Entity) -> tuple[int, int]:
    assert entity.place is not None  # noqa: S101 (several windows need a tokenizer that tells places)
    return entity.place


def _across(first: Place | None, last: Place | None) -> Place | None:
    return None if first is None or last is None else (first[0], last[1])

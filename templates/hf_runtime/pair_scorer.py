"""A cross-encoder: from pairs of texts to one score each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict, Unpack

from . import pair_modules
from .pair_classifier import PairClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings

Pair = tuple[str, str]


class ScoreOptions(TypedDict, total=False):
    """The parameters of a request for scores.

    Attributes:
        raw_scores: Whether the model's own numbers are given, before its activation such as the sigmoid.
        truncate: Whether a pair longer than the model's window is cut (the default) or refused.
    """

    raw_scores: bool
    truncate: bool


class Scorer(Protocol):
    """What scores pairs.

    Attributes:
        outputs: Numbers that the model has for a pair.
    """

    outputs: int

    def score(self, pairs: Sequence[Pair], *, raw: bool, truncate: bool) -> list[float]:
        """Scores pairs, in batches of similar length.

        Args:
            pairs: At least one.
            raw: Whether the model's own numbers are given, before its activation.
            truncate: Whether a long pair is cut.

        Raises:
            InvalidInput: A pair is too long while it must not be cut.
        """


class PairScorer:
    """The cross-encoder of a folder, which has one output."""

    def __init__(self, settings: Settings) -> None:
        self._model = _scorer(settings)
        if self._model.outputs != 1:
            raise ValueError(
                f"sentence-ranking needs a cross-encoder with one output, but this model has {self._model.outputs}; "
                "generate it with --task text-classification"
            )

    def scores(self, pairs: Sequence[Pair], **options: Unpack[ScoreOptions]) -> list[float]:
        """Scores any number of pairs as `CrossEncoder.predict` does.

        Raises:
            InvalidInput: A pair too long while `truncate` is false.
        """
        if not pairs:
            return []
        return self._model.score(pairs, raw=options.get("raw_scores", False), truncate=options.get("truncate", True))


def _scorer(settings: Settings) -> Scorer:
    modules = pair_modules.read(Path(settings.weights()), own_code=settings.trust_remote_code)
    if modules is not None:
        return PairClassifier(settings, modules)
    from .library_scorer import LibraryScorer

    return LibraryScorer(settings)

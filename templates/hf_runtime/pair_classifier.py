"""A classifier with one label as a cross-encoder: from pairs of texts to one score each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .batch import in_sub_batches
from .error import InvalidInput
from .sequence_classifier import SequenceClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .pair_modules import PairModules
    from .pair_scorer import Pair
    from .settings import Settings
    from .text_model import Tokens


class PairClassifier(SequenceClassifier):
    """The usual cross-encoder; see pair_scorer.Scorer."""

    def __init__(self, settings: Settings, modules: PairModules) -> None:
        """Loads the model.

        Args:
            settings: Where from, onto which device, in which dtype.
            modules: What sentence-transformers says of the same folder.
        """
        super().__init__(settings)
        modules.transformer.set_up(self.tokenizer)
        self.window = min(modules.transformer.max_seq_length or self.tokenizer.model_max_length, self.engine.positions)
        self.outputs = len(self.labels)
        self._sub_batch = settings.cut
        self._activation = modules.activation

    def score(self, pairs: Sequence[Pair], *, raw: bool, truncate: bool) -> list[float]:
        """A score for each pair; see pair_scorer.Scorer."""
        queries, texts = zip(*pairs, strict=True)
        rows = self.tokens(queries, texts, truncation=truncate)
        lengths = [_length(row) for row in rows]
        if max(lengths) > self.window:
            raise InvalidInput(
                f"a query and its text have {max(lengths)} tokens, but this model takes {self.window}; shorten them, "
                "or leave truncate on"
            )
        if not min(lengths):
            raise InvalidInput("a query and its text are empty, and this model has no token for that; send some text")
        logits = in_sub_batches(rows, self._logits, length=_length, cut=self._sub_batch)
        scores = np.array(logits, dtype=np.float32)
        found: list[float] = (scores if raw else self._activation(scores)).tolist()
        return found

    def _logits(self, rows: Sequence[Tokens]) -> list[float]:
        found: list[float] = self.logits(rows)[:, 0].tolist()
        return found


def _length(row: Tokens) -> int:
    return len(row["input_ids"])

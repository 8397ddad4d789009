"""A cross-encoder that only sentence-transformers can run, such as one that writes yes or no; with torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from sentence_transformers import CrossEncoder

from . import torch_device, torch_text
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .pair_scorer import Pair
    from .settings import Settings


class LibraryScorer:
    """The model of a folder; see pair_scorer.Scorer."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        self._batch_size = settings.sub_batch_size
        self._model = CrossEncoder(
            settings.weights(),
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": torch_device.dtype(settings), "use_safetensors": True},
        )
        self.outputs: int = self._model.num_labels
        torch_text.allow_padding(self._model.tokenizer)
        if self._model.transformers_model is not None:  # a tokenizer may know no window, or RoBERTa's two too many
            window = torch_text.positions(self._model.transformers_model)
            self._model.max_seq_length = min(self._model.max_seq_length or window, window)

    def score(self, pairs: Sequence[Pair], *, raw: bool, truncate: bool) -> list[float]:
        """A score for each pair; see pair_scorer.Scorer."""
        if not truncate:
            self._refuse_long(pairs)
        activation = torch.nn.Identity() if raw else None
        found = self._model.predict(
            list(pairs), batch_size=self._batch_size, activation_fn=activation, show_progress_bar=False
        )
        return [float(score) for score in found]

    def _refuse_long(self, pairs: Sequence[Pair]) -> None:
        window = self._model.max_seq_length
        for query, text in pairs:
            tokens = len(self._model.tokenizer(query, text, truncation=False, verbose=False)["input_ids"])
            if tokens > window:
                raise InvalidInput(
                    f"a query and its text have {tokens} tokens, but this model takes {window}; shorten them, or "
                    "leave truncate on"
                )

"""A cross-encoder: from pairs of texts to one score each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import torch
from sentence_transformers import CrossEncoder

from . import torch_device, torch_text
from .error import InvalidInput

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


class PairScorer:
    """The cross-encoder of a folder, which has one output."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        self.batch_size = settings.sub_batch_size
        self.model = CrossEncoder(
            settings.weights(),
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": torch_device.dtype(settings)},
        )
        if self.model.num_labels != 1:
            raise ValueError(
                f"sentence-ranking needs a cross-encoder with one output, but this model has {self.model.num_labels}; "
                "generate it with --task text-classification"
            )
        torch_text.allow_padding(self.model.tokenizer)
        if self.model.transformers_model is not None:  # a tokenizer may know no window, or RoBERTa's two too many
            window = torch_text.positions(self.model.transformers_model)
            self.model.max_seq_length = min(self.model.max_seq_length or window, window)

    def scores(self, pairs: Sequence[Pair], **options: Unpack[ScoreOptions]) -> list[float]:
        """Scores any number of pairs as `CrossEncoder.predict` does, in batches of pairs of similar length.

        Raises:
            InvalidInput: A pair too long while `truncate` is false.
        """
        if not options.get("truncate", True):
            self._refuse_long(pairs)
        activation = torch.nn.Identity() if options.get("raw_scores") else None
        found = self.model.predict(
            list(pairs), batch_size=self.batch_size, activation_fn=activation, show_progress_bar=False
        )
        return [float(score) for score in found]

    def _refuse_long(self, pairs: Sequence[Pair]) -> None:
        window = self.model.max_seq_length
        for query, text in pairs:
            tokens = len(self.model.tokenizer(query, text, truncation=False, verbose=False)["input_ids"])
            if tokens > window:
                raise InvalidInput(
                    f"a query and its text have {tokens} tokens, but this model takes {window}; shorten them, "
                    "or leave truncate on"
                )

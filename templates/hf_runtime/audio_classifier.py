"""A classifier of whole sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from transformers import AutoModelForAudioClassification

from .audio_model import AudioModel
from .ranked import limit

if TYPE_CHECKING:
    import torch

    from .settings import Settings

Function = Literal["sigmoid", "softmax", "none"]


class AudioClassifier(AudioModel):
    """The model of a folder with its classification head.

    Attributes:
        labels: The model's own, in the order of its logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, AutoModelForAudioClassification)
        self.labels = [self.config.id2label[index] for index in range(self.config.num_labels)]

    def best(self, logits: torch.Tensor, top_k: int | None, function: Function | None) -> dict[str, Any]:
        """The labels of one sound with their scores, the best first.

        Args:
            logits: FP32 [labels].
            top_k: How many; None for all.
            function: What makes scores of logits; None for what the model's own kind asks for.
        """
        scores = self._scores(logits, function or self._function())
        found, order = scores.topk(limit(top_k, len(self.labels)))
        return {"label": [self.labels[index] for index in order.tolist()], "score": found.numpy()}

    def _scores(self, logits: torch.Tensor, function: Function) -> torch.Tensor:
        if function == "none":
            return logits
        return logits.sigmoid() if function == "sigmoid" else logits.softmax(-1)

    def _function(self) -> Function:
        kind = self.config.problem_type
        if kind == "regression":
            return "none"
        return "sigmoid" if kind == "multi_label_classification" else "softmax"

"""A classifier of whole sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import label_scores
from .audio_model import AudioModel

if TYPE_CHECKING:
    import numpy as np

    from .label_scores import Function
    from .settings import Settings

    Array = np.ndarray[Any, Any]


class AudioClassifier(AudioModel):
    """The model of a folder with its classification head.

    Attributes:
        labels: The model's own, in the order of its logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForAudioClassification")
        self.labels = [self.config.id2label[index] for index in range(self.config.num_labels)]

    def best(self, logits: Array, top_k: int | None, function: Function | None) -> dict[str, Any]:
        """The labels of one sound with their scores, the best first.

        Args:
            logits: FP32 [labels].
            top_k: How many; None for all.
            function: What makes scores of logits; None for what the model's own kind asks for.
        """
        scores = label_scores.scores(logits, function or self._function())
        return label_scores.best(self.labels, scores, top_k)

    def _function(self) -> Function:
        # As the pipeline does: of texts and images a single label is a yes or no of its own, of sounds it is not.
        return label_scores.function_of(self.config) if self.config.problem_type else "softmax"

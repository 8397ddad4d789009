"""A classifier of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import label_scores
from .vision_model import VisionModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .label_scores import Function
    from .picture import Picture
    from .settings import Settings

    Array = np.ndarray[Any, Any]


class ImageClassifier(VisionModel):
    """The model of a folder with its classification head.

    Attributes:
        labels: The model's own, in the order of its logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForImageClassification")
        self.labels = [self.label(index) for index in range(self.config.num_labels)]

    def scores(self, pictures: Sequence[Picture], function: Function | None) -> Array:
        """FP32 [pictures, labels]: the logits through `function`, or through what the model's own kind asks for."""
        logits = np.concatenate([outputs["logits"] for outputs in self.run(pictures)])
        return label_scores.scores(logits, function or label_scores.function_of(self.config))

    def best(self, scored: Array, top_k: int) -> dict[str, Any]:
        """The labels of one picture with their scores, the best first."""
        return label_scores.best(self.labels, scored, top_k)

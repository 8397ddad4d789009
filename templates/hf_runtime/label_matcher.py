"""Labels that a model never saw: it compares an image with a sentence about each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import label_scores
from .batch import grouped
from .error import InvalidInput
from .image_text_model import ImageTextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .picture import Picture
    from .settings import Settings

    Array = np.ndarray[Any, Any]

SIGLIP_LENGTH = 64
"""Tokens that SigLIP was trained on: it wants every text padded to so many."""

TEXTS_AT_ONCE = 256
"""Texts that go through the model together."""


@dataclass(frozen=True)
class Choice:
    """An image, and the labels to choose from."""

    picture: Picture
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.picture)


class LabelMatcher(ImageTextModel):
    """A model with one tower for images and one for texts, such as CLIP or SigLIP."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForZeroShotImageClassification")
        self.is_siglip = "siglip" in self.config.model_type
        if self.is_siglip:
            self.window = min(self.window, SIGLIP_LENGTH)

    def choose(
        self, choices: Sequence[Choice], template: str, *, truncate: bool, max_length: int | None
    ) -> list[dict[str, Any]]:
        """The labels of each image with their scores, the best first.

        A label that several images share is read once.

        Raises:
            InvalidInput: A template without {}, or a label that is too long while it must not be cut.
        """
        if "{}" not in template:
            raise InvalidInput(
                f"parameter 'hypothesis_template' must hold {{}} where the label goes, as in "
                f'"This is a photo of {{}}.", not {template!r}'
            )
        labels = list(dict.fromkeys(label for choice in choices for label in choice.labels))
        texts = [template.replace("{}", label) for label in labels]
        if not truncate:
            self.refuse_long(texts)
        logits = self._logits([choice.picture for choice in choices], self._tokens(texts, max_length))
        place = {label: index for index, label in enumerate(labels)}
        answers = []
        for choice, row in zip(choices, logits, strict=True):
            own = row[[place[label] for label in choice.labels]]
            # SigLIP judges each label by itself; the others share a sum of 1 among the labels.
            scored = label_scores.sigmoid(own) if self.is_siglip else label_scores.softmax(own)
            answers.append(label_scores.best(choice.labels, scored))
        return answers

    def _tokens(self, texts: Sequence[str], max_length: int | None) -> dict[str, Array]:
        special: int = self.tokenizer.num_special_tokens_to_add()
        if max_length is not None and max_length <= special:
            raise InvalidInput(
                f"parameter 'max_length' must be at least {special + 1} for this model, not {max_length}"
            )
        size = min(self.window, max_length or self.window)
        return self.pad(self.tokens(texts, max_length=size), size if self.is_siglip else 0)

    def _logits(self, pictures: Sequence[Picture], tokens: dict[str, Array]) -> list[Array]:
        """For each picture, how well it fits each text: FP32 [texts]."""
        found: dict[int, Array] = {}
        for group in grouped(range(len(pictures)), key=lambda index: self.alike(pictures[index])):
            images = self.side_by_side([pictures[index] for index in group])
            parts = []
            for start in range(0, len(tokens["input_ids"]), TEXTS_AT_ONCE):
                texts = {name: array[start : start + TEXTS_AT_ONCE] for name, array in tokens.items()}
                parts.append(self.engine.run({**texts, **images})["logits_per_image"])
            found.update(zip(group, np.concatenate(parts, axis=1), strict=True))
        return [found[index] for index in range(len(pictures))]

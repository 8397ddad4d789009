"""A model that looks at images: its image processor, and forward passes of images of equal size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import engine
from .batch import grouped
from .picture import ImageLooker, processor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .picture import Picture
    from .settings import Settings

    Array = np.ndarray[Any, Any]

Outputs = dict[str, "Array"]
"""What a model gives for one image, by the names of transformers: [1, …] each, numbers with a fraction as FP32."""


class VisionModel(ImageLooker):
    """The image processor and the model of a folder.

    Attributes:
        engine: What computes the model.
        config: The model's own.
    """

    def __init__(self, settings: Settings, auto_class: str) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: The class of transformers that has the model's head, such as AutoModelForObjectDetection.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.engine = engine.load(settings, auto_class)
        self.config = self.engine.config
        self.inputs = self.engine.inputs
        self.processor = processor_of(settings)

    def label(self, index: int) -> str:
        """The name of a class."""
        return str(self.config.id2label[index])

    def run(self, pictures: Sequence[Picture]) -> list[Outputs]:
        """What the model gives for each image.

        Images of equal size go through it together. Others are not padded to one size, though processors can do that:
        the mask of the padding hides it from attention only. A convolution at an image's edge sees the padding's
        features, and YOLOS and the models of transformers that segment take no mask, or do not use it; the answer for
        an image would depend on its neighbours.
        """
        outputs: dict[int, Outputs] = {}
        for group in grouped(range(len(pictures)), key=lambda index: pictures[index].shapes):
            outputs.update(zip(group, self._together([pictures[index] for index in group]), strict=True))
        return [outputs[index] for index in range(len(pictures))]

    def _together(self, pictures: Sequence[Picture]) -> list[Outputs]:
        names = pictures[0].inputs
        found = self.engine.run(
            {name: np.concatenate([picture.inputs[name] for picture in pictures]) for name in names}
        )
        return [
            {name: array[index : index + 1] for name, array in found.items() if array.ndim}
            for index in range(len(pictures))
        ]

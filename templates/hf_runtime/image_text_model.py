"""A model that looks at images and reads texts: its image processor beside its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .picture import ImageLooker, processor_of
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .picture import Picture
    from .settings import Settings

    Array = np.ndarray[Any, Any]

MASK = "pixel_mask"
"""What models are told by that take images of several sizes at once: 1 where there is image, 0 where there is none."""


class ImageTextModel(ImageLooker, TextModel):
    """The tokenizer, the image processor and the model of a folder."""

    def __init__(self, settings: Settings, auto_class: str) -> None:
        """Loads them.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: The class of transformers that has the model's head, such as
                AutoModelForZeroShotImageClassification.

        Raises:
            ValueError: The files hold no trained model of this class.
        """
        super().__init__(settings, auto_class)
        self.processor = processor_of(settings)
        positions = getattr(self.config.get_text_config(), "max_position_embeddings", None)
        self.window = min(self.window, positions or self.window)

    def alike(self, picture: Picture) -> Hashable:
        """Equal for pictures that `side_by_side` takes."""
        return MASK in picture.inputs or picture.shapes

    def side_by_side(self, pictures: Sequence[Picture]) -> dict[str, Array]:
        """The inputs of a batch of pictures: of equal size, or padded at the right and below where a mask says so."""
        batch = {}
        for name in pictures[0].inputs:
            arrays = [picture.inputs[name] for picture in pictures]
            if len({array.shape for array in arrays}) > 1:
                height, width = (max(array.shape[axis] for array in arrays) for axis in (-2, -1))
                arrays = [_padded(array, height, width) for array in arrays]
            batch[name] = np.concatenate(arrays)
        return batch


def _padded(array: Array, height: int, width: int) -> Array:
    behind = [(0, 0)] * (array.ndim - 2) + [(0, height - array.shape[-2]), (0, width - array.shape[-1])]
    return np.pad(array, behind)

"""A torch model that looks at images and reads texts: its image processor beside its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .picture import ImageLooker, processor_of
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .picture import Picture
    from .settings import Settings

MASK = "pixel_mask"
"""What models are told by that take images of several sizes at once: 1 where there is image, 0 where there is none."""


class ImageTextModel(ImageLooker, TextModel):
    """The tokenizer, the image processor and the model of a folder."""

    def __init__(self, settings: Settings, auto_class: Any) -> None:
        """Loads them.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: Such as transformers' AutoModelForZeroShotImageClassification.

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

    def side_by_side(self, pictures: Sequence[Picture]) -> dict[str, torch.Tensor]:
        """The inputs of a batch of pictures: of equal size, or padded at the right and below where a mask says so."""
        batch = {}
        for name in pictures[0].inputs:
            tensors = [picture.inputs[name] for picture in pictures]
            if len({tensor.shape for tensor in tensors}) > 1:
                height, width = (max(tensor.shape[axis] for tensor in tensors) for axis in (-2, -1))
                tensors = [_padded(tensor, height, width) for tensor in tensors]
            batch[name] = torch.cat(tensors)
        return {name: self._placed(tensor) for name, tensor in batch.items()}

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self.model.dtype if tensor.is_floating_point() else None)


def _padded(tensor: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]))

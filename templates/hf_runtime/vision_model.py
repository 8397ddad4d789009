"""A torch model that looks at images: its image processor, and forward passes of images of equal size."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from . import checkpoint
from .batch import grouped
from .picture import ImageLooker, processor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .picture import Picture
    from .settings import Settings

Outputs = Any
"""What a model gives for one image: its tensors by their names in transformers, FP32 on the CPU, [1, …] each."""


class VisionModel(ImageLooker):
    """The image processor and the model of a folder.

    Attributes:
        model: In evaluation mode, on the instance's device.
    """

    def __init__(self, settings: Settings, auto_class: Any) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: Such as transformers' AutoModelForObjectDetection.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.device = settings.device
        self.model = checkpoint.load(settings, auto_class)
        self.processor = processor_of(settings)
        self.inputs = set(inspect.signature(self.model.forward).parameters)

    def label(self, index: int) -> str:
        """The name of a class."""
        return str(self.model.config.id2label[index])

    def forward(self, pictures: Sequence[Picture]) -> list[Outputs]:
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

    @torch.inference_mode()
    def _together(self, pictures: Sequence[Picture]) -> list[Outputs]:
        batch = {name: torch.cat([picture.inputs[name] for picture in pictures]) for name in pictures[0].inputs}
        found = self.model(**{name: self._placed(tensor) for name, tensor in batch.items()})
        tensors = {name: _on_cpu(value) for name, value in found.items() if isinstance(value, torch.Tensor)}
        return [
            SimpleNamespace(**{name: value[index : index + 1] for name, value in tensors.items() if value.ndim})
            for index in range(len(pictures))
        ]

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self.model.dtype if tensor.is_floating_point() else None)


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu()

"""A torch model that looks at images: its image processor, and forward passes of images of equal size."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoImageProcessor

from . import torch_device
from .batch import grouped
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from .settings import Settings

Outputs = Any
"""What a model gives for one image: its tensors by their names in transformers, FP32 on the CPU, [1, …] each."""


@dataclass(frozen=True)
class Picture:
    """An image made ready for the model.

    Attributes:
        inputs: What the model takes, by name; [1, …] each.
        size: Height and width of the image as it was sent, in pixels.
    """

    inputs: dict[str, torch.Tensor]
    size: tuple[int, int]

    def __len__(self) -> int:
        """Pixels that the model looks at: what rows are sorted by."""
        height, width = self.inputs["pixel_values"].shape[-2:]
        return int(height * width)

    @property
    def shapes(self) -> tuple[tuple[str, torch.Size], ...]:
        """Equal for images that make a batch without padding."""
        return tuple((name, tensor.shape) for name, tensor in sorted(self.inputs.items()))


class VisionModel:
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
        torch_device.use_threads(settings)
        folder, trust = settings.weights(), settings.trust_remote_code
        self.device = settings.device
        processors: Any = AutoImageProcessor  # whose from_pretrained has no types
        self.processor = processors.from_pretrained(folder, trust_remote_code=trust)
        self.model, loaded = auto_class.from_pretrained(
            folder, trust_remote_code=trust, dtype=torch_device.dtype(settings), output_loading_info=True
        )
        if loaded["missing_keys"]:  # transformers would fill them with random numbers
            raise ValueError(
                f"the model has no weights for {', '.join(sorted(loaded['missing_keys'])[:3])}: it was not trained "
                f"for {settings.task}; choose another task or model"
            )
        self.model.to(self.device).eval()
        # Some processors give inputs that their model does not take, such as a mask of the padding.
        self.inputs = set(inspect.signature(self.model.forward).parameters)

    def label(self, index: int) -> str:
        """The name of a class."""
        return str(self.model.config.id2label[index])

    def prepare(self, image: Image.Image) -> Picture:
        """Resizes and normalizes an image as the model was trained to see it.

        Raises:
            InvalidInput: It is so narrow that nothing would be left of it.
        """
        try:
            # Said, not guessed: an image of 3 pixels in height would be taken for one with its colours in front.
            found = self.processor(images=image, input_data_format="channels_last", return_tensors="pt")
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidInput(
                f"this model cannot take an image of {image.width} x {image.height} pixels ({error}); send a larger one"
            ) from None
        inputs = {name: found[name] for name in found if name in self.inputs}
        return Picture(inputs, (image.height, image.width))

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

"""An image made ready for a model, by the model's own image processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import AutoImageProcessor

from .error import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .settings import Settings

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Picture:
    """An image made ready for the model.

    Attributes:
        inputs: What the model takes, by name; [1, …] each.
        size: Height and width of the image as it was sent, in pixels.
    """

    inputs: dict[str, Array]
    size: tuple[int, int]

    def __len__(self) -> int:
        """Pixels that the model looks at: what rows are sorted by."""
        height, width = self.inputs["pixel_values"].shape[-2:]
        return int(height * width)

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Equal for images that make a batch without padding."""
        return tuple((name, array.shape) for name, array in sorted(self.inputs.items()))


class ImageLooker:
    """What models have in common that look at images.

    Attributes:
        processor: Transformers' image processor of the model's folder.
        inputs: Names of what the model takes: some processors give more.
    """

    processor: Any
    inputs: frozenset[str]

    def prepare(self, image: Image.Image) -> Picture:
        """Resizes and normalizes an image as the model was trained to see it.

        Raises:
            InvalidInput: It is so narrow that nothing would be left of it.
        """
        try:
            # Said, not guessed: an image of 3 pixels in height would be taken for one with its colours in front.
            found = self.processor(images=image, input_data_format="channels_last", return_tensors="np")
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidInput(
                f"this model cannot take an image of {image.width} x {image.height} pixels ({error}); send a larger one"
            ) from None
        inputs = {name: found[name] for name in found if name in self.inputs}
        return Picture(inputs, (image.height, image.width))


def processor_of(settings: Settings) -> Any:
    """The image processor of a folder."""
    processors: Any = AutoImageProcessor  # whose from_pretrained has no types
    return processors.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)

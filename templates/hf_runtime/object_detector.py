"""A model that finds objects in images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .model_output import ModelOutput
from .vision_model import VisionModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .picture import Picture
    from .settings import Settings
    from .vision_model import Outputs


class ObjectDetector(VisionModel):
    """The model of a folder with its detection head."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForObjectDetection")
        if not hasattr(self.processor, "post_process_object_detection"):
            raise ValueError(
                f"the model's image processor, {type(self.processor).__name__}, does not say how boxes are read from "
                "the model; choose another model"
            )

    def detect(self, pictures: Sequence[Picture], threshold: float) -> list[dict[str, Any]]:
        """The objects of each image that are likelier than `threshold`, in the order in which the model names them.

        Returns:
            For each image: `label`, `score`, and `box`, INT32 [objects, 4]: xmin, ymin, xmax and ymax in pixels of the
            image as it was sent.
        """
        return [
            self._objects(outputs, picture, threshold)
            for outputs, picture in zip(self.run(pictures), pictures, strict=True)
        ]

    def _objects(self, outputs: Outputs, picture: Picture, threshold: float) -> dict[str, Any]:
        size = torch.tensor([picture.size])
        (found,) = self.processor.post_process_object_detection(ModelOutput(outputs), threshold, size)
        return {
            "label": [self.label(int(index)) for index in found["labels"]],
            "score": found["scores"].numpy(),
            "box": found["boxes"].int().numpy(),
        }

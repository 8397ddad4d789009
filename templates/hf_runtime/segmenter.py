"""A model that cuts images into segments: classes of pixels, single objects, or both."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from transformers import (
    MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING,
    MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING,
    MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING,
    AutoConfig,
)

from . import class_map
from .error import InvalidInput
from .mask import MaskWriter
from .model_output import ModelOutput
from .vision_model import VisionModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

    from .picture import Picture
    from .settings import Settings

    Array = np.ndarray[Any, Any]

Subtask = Literal["semantic", "instance", "panoptic"]
SUBTASKS: tuple[Subtask, ...] = ("panoptic", "instance", "semantic")
"""The first of them that a model can do is what it does unless it is asked for another."""

MASK_MEMORY_MB = 1024
"""Where config.pbtxt names no mask_memory_mb."""

HEADS = (
    (MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING, "AutoModelForUniversalSegmentation"),
    (MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING, "AutoModelForInstanceSegmentation"),
    (MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING, "AutoModelForSemanticSegmentation"),
)
LOGITS_DIMS = 4  # [images, classes, rows, columns]
FLOAT_BYTES = 4


class SegmentOptions(TypedDict, total=False):
    """The parameters of a request.

    Attributes:
        subtask: What to look for.
        threshold: How likely an object must be.
        mask_threshold: How likely a pixel must be to count for an object's size.
        overlap_mask_area_threshold: The part of an object's pixels that must be left where others lie over it.
    """

    subtask: Subtask
    threshold: float
    mask_threshold: float
    overlap_mask_area_threshold: float


class Segmenter(VisionModel):
    """The model of a folder with its segmentation head.

    Attributes:
        subtasks: What it can do.
    """

    def __init__(self, settings: Settings) -> None:
        config = AutoConfig.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
        fitting = (auto_class for mapping, auto_class in HEADS if type(config) in mapping)
        super().__init__(settings, next(fitting, "AutoModelForImageSegmentation"))
        self.subtasks = [name for name in SUBTASKS if hasattr(self.processor, _method(name))]
        if not self.subtasks or "task_inputs" in self.inputs:
            raise ValueError(
                f"a model of type {config.model_type} does not cut images into segments by the image alone; choose "
                "another model"
            )
        self.masks = MaskWriter(settings.threads)
        self.mask_bytes = settings.positive("mask_memory_mb", MASK_MEMORY_MB) * 1_000_000

    def segment(self, pictures: Sequence[Picture], options: SegmentOptions) -> list[dict[str, Any]]:
        """The segments of each image: `label`, `score`, and `mask`, a PNG of the image's size.

        Raises:
            InvalidInput: The model cannot do the subtask.
        """
        subtask = options.get("subtask", self.subtasks[0])
        if subtask not in self.subtasks:
            raise InvalidInput(f"this model cannot do the subtask {subtask!r}; it can do: {', '.join(self.subtasks)}")
        found = zip(map(ModelOutput, self.run(pictures)), pictures, strict=True)
        if subtask == "semantic":
            return [self._classes(outputs, picture.size) for outputs, picture in found]
        return [self._objects(outputs, picture.size, subtask, options) for outputs, picture in found]

    def _classes(self, outputs: ModelOutput, size: tuple[int, int]) -> dict[str, Any]:
        """Segments of one class each, which cover the image."""
        scores, probabilities = self._scores(outputs)
        chosen = class_map.classes(scores, size)
        found = class_map.likelihoods(probabilities, chosen)
        return self._answer(list(found), list(found.values()), self.masks.write(chosen, list(found)))

    def _scores(self, outputs: ModelOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """What a model says of each class and place, and that as probabilities: FP32 [classes, rows, columns] each."""
        logits = outputs.logits if hasattr(outputs, "logits") else None
        if logits is not None and logits.ndim == LOGITS_DIMS:
            return logits[0], logits[0].softmax(dim=0)
        (found,) = self.processor.post_process_semantic_segmentation(outputs, return_segmentation_scores=True)
        scores = found["segmentation_scores"]  # sums over objects: no probabilities, but there is nothing below 0
        return scores, scores / scores.sum(dim=0, keepdim=True).clamp(min=1e-12)

    def _objects(
        self, outputs: ModelOutput, size: tuple[int, int], subtask: Subtask, options: SegmentOptions
    ) -> dict[str, Any]:
        """Segments of one object each; in a panoptic answer also of what is no single object, such as the sky."""
        process, threshold = getattr(self.processor, _method(subtask)), options.get("threshold", 0.9)
        wanted = {
            "threshold": threshold,
            "mask_threshold": options.get("mask_threshold", 0.5),
            "overlap_mask_area_threshold": options.get("overlap_mask_area_threshold", 0.5),
            "label_ids_to_fuse": set(),  # left out, it would be warned of at every request
        }
        taken = inspect.signature(process).parameters
        given = {name: value for name, value in wanted.items() if name in taken}
        coarse = self._affordable(size, _masks(outputs, subtask, threshold))
        (found,) = process(outputs, target_sizes=[coarse], **given)
        segments, told = found["segmentation"].numpy(), found["segments_info"]
        if coarse != size:
            segments = segments[class_map.nearest(size, coarse)]
        masks = self.masks.write(segments, [segment["id"] for segment in told])
        return self._answer([segment["label_id"] for segment in told], [segment["score"] for segment in told], masks)

    def _affordable(self, size: tuple[int, int], masks: int) -> tuple[int, int]:
        """The height and width at which so many masks fit into memory; smaller than the image's where they must be."""
        height, width = size
        part = (self.mask_bytes / (FLOAT_BYTES * max(1, masks) * height * width)) ** 0.5
        return size if part >= 1 else (max(1, int(height * part)), max(1, int(width * part)))

    def _answer(self, classes: Sequence[int], scores: Sequence[float], masks: Sequence[bytes]) -> dict[str, Any]:
        return {"label": [self.label(index) for index in classes], "score": list(scores), "mask": list(masks)}


def _method(subtask: Subtask) -> str:
    """What transformers' image processors call the way from a model's outputs to segments."""
    return f"post_process_{subtask}_segmentation"


def _masks(outputs: ModelOutput, subtask: Subtask, threshold: float) -> int:
    """How many masks an image processor enlarges to the size of an image."""
    logits = outputs.class_queries_logits if hasattr(outputs, "class_queries_logits") else outputs.logits
    if subtask == "instance":
        return int(logits.shape[1])
    scores, classes = logits[0].softmax(dim=-1).max(dim=-1)
    return int(((scores > threshold) & (classes < logits.shape[-1] - 1)).sum())  # the last class is: no object

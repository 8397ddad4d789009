"""Objects and segments of images by transformers' own pipelines."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import pipeline
from transformers.image_utils import load_image


@functools.cache
def _pipeline(task: str, folder: Path) -> Any:
    return pipeline(task, model=str(folder), device="cpu")


def objects(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"score", "label", "box"}]`."""
    return _pipeline("object-detection", folder)(inputs, **parameters)


def segments(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"score", "label", "mask"}]`; where the pipeline gives no score, the mean probability of the class."""
    if isinstance(inputs, list):
        return [segments(folder, item, parameters) for item in inputs]
    made = _pipeline("image-segmentation", folder)
    found = made(inputs, **parameters)
    if any(segment["score"] is None for segment in found):
        means = _means(made, load_image(inputs))
        found = [{**segment, "score": means(segment["label"], np.asarray(segment["mask"]))} for segment in found]
    return [{**segment, "mask": _png(segment["mask"])} for segment in found]


def _means(made: Any, image: Image.Image) -> Any:
    """A function that gives the mean probability of a label over the pixels of its mask."""
    with torch.inference_mode():
        outputs = made.model(**made.image_processor(images=image, return_tensors="pt"))
    if "masks_queries_logits" in outputs or "pred_masks" in outputs:
        (own,) = made.image_processor.post_process_semantic_segmentation(outputs, return_segmentation_scores=True)
        probabilities = own.segmentation_scores / own.segmentation_scores.sum(0)
    else:
        probabilities = outputs.logits[0].softmax(0)

    def mean(label: str, mask: Any) -> float:
        rows, columns = (
            torch.arange(size) * coarse // size
            for size, coarse in zip(mask.shape, probabilities.shape[1:], strict=True)
        )
        enlarged = probabilities[made.model.config.label2id[label]][rows][:, columns]
        return float(enlarged[torch.tensor(mask > 0)].mean())

    return mean


def _png(mask: Image.Image) -> str:
    """As a model writes its masks, so that equal masks are equal texts."""
    file = io.BytesIO()
    mask.save(file, format="PNG", compress_level=1, compress_type=3)
    return base64.b64encode(file.getvalue()).decode()


REFERENCES = {"object-detection": objects, "image-segmentation": segments}

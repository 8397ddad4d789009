"""Tiny models that classify images. Their weights are the same in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models.text import LAYERS, SPREAD, seeded

if TYPE_CHECKING:
    from pathlib import Path

SIZE = {"height": 32, "width": 32}
PATCH = {"image_size": 32, "patch_size": 8}
ANIMALS = ("tabby cat", "dog", "bird", "horse", "fish", "cow", "bee")


def vit_animals(folder: Path) -> None:
    """ViT: every image is squeezed into a square; more labels than are answered by default."""
    config = transformers.ViTConfig(**PATCH, **LAYERS, initializer_range=SPREAD, **labels(*ANIMALS))
    _save(folder, transformers.ViTForImageClassification, config, transformers.ViTImageProcessorPil(size=SIZE))


def resnet_animals(folder: Path) -> None:
    """ResNet: the middle of an image is cut out."""
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels(*ANIMALS[:3])
    )
    processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875)
    _save(folder, transformers.ResNetForImageClassification, config, processor)


def convnext_tags(folder: Path) -> None:
    """ConvNeXt with several labels at a time; and images of all sizes, as its processor keeps their proportions."""
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16],
        depths=[1, 1],
        num_stages=2,
        initializer_range=SPREAD,
        problem_type="multi_label_classification",
        **labels("indoors", "day", "people"),
    )
    processor = transformers.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=16, do_pad=False)
    _save(folder, transformers.ConvNextForImageClassification, config, processor)


def swin_quality(folder: Path) -> None:
    """Swin with one number that is no probability."""
    config = transformers.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1],
        num_heads=[1, 2],
        window_size=4,
        initializer_range=SPREAD,
        problem_type="regression",
        **labels("quality"),
    )
    _save(folder, transformers.SwinForImageClassification, config, transformers.ViTImageProcessorPil(size=SIZE))


def vit_without_head(folder: Path) -> None:
    """A model that says it classifies images, without the weights for it."""
    config = transformers.ViTConfig(**PATCH, **LAYERS, **labels(*ANIMALS))
    _save(folder, transformers.ViTModel, config, transformers.ViTImageProcessorPil(size=SIZE))
    config.architectures = ["ViTForImageClassification"]
    config.save_pretrained(folder)


def labels(*names: str) -> dict[str, Any]:
    """What a configuration says of labels."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def _save(folder: Path, model: Any, config: Any, processor: Any) -> None:
    with seeded():
        made = model(config)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as if it had seen images
                torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            elif isinstance(module, torch.nn.Linear):  # so that other images have clearly other labels
                torch.nn.init.normal_(module.weight, std=2 * SPREAD)
        made.save_pretrained(folder)
    processor.save_pretrained(folder)


BUILDERS = (vit_animals, resnet_animals, convnext_tags, swin_quality, vit_without_head)

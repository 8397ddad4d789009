"""Tiny models that find objects in images and cut images into segments. Their weights are the same in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models.text import LAYERS, SIZE, SPREAD, seeded
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

if TYPE_CHECKING:
    from pathlib import Path

QUERIES = 8
"""Objects that a model here can find at most."""

EDGES = {"shortest_edge": 48, "longest_edge": 80}
"""What images are resized to where their proportions are kept."""

SQUARE = {"height": 64, "width": 64}
LABELS = {"id2label": {0: "cat", 1: "dog", 2: "car"}, "label2id": {"cat": 0, "dog": 1, "car": 2}}
GAIN = 1.4
CONTRAST = {
    "class_labels_classifier.weight": 2.0,
    "class_predictor.weight": 2.0,
    "class_embed.weight": 2.0,
    "enc_score_head.weight": 2.0,
}
"""Layers from which scores are made, and how much larger their weights are."""

STAGES = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
ALL_STAGES = ["stage1", "stage2", "stage3", "stage4"]


def detr_objects(folder: Path) -> None:
    """Convolutions, an encoder and a decoder; images keep their proportions."""
    _save(folder, transformers.DetrForObjectDetection, _detr(["stage4"]), DetrImageProcessorPil(size=EDGES))


def yolos_objects(folder: Path) -> None:
    """Patches and nothing else; no mask of the padding."""
    config = transformers.YolosConfig(
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=QUERIES,
        initializer_range=SPREAD,
        **LAYERS,
        **LABELS,
    )
    _save(folder, transformers.YolosForObjectDetection, config, YolosImageProcessorPil(size=EDGES))


def rt_detr_objects(folder: Path) -> None:
    """A score for each class by itself, and several objects of one query; images become squares."""
    backbone = transformers.RTDetrResNetConfig(**STAGES, out_features=["stage2", "stage3", "stage4"])
    config = transformers.RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=SIZE,
        encoder_in_channels=[8, 16, 16],
        feat_strides=[8, 16, 32],
        encoder_ffn_dim=2 * SIZE,
        encoder_attention_heads=4,
        encode_proj_layers=[2],
        d_model=SIZE,
        num_queries=QUERIES,
        decoder_in_channels=[SIZE, SIZE, SIZE],
        decoder_ffn_dim=2 * SIZE,
        decoder_layers=2,
        decoder_attention_heads=4,
        num_denoising=0,
        initializer_range=SPREAD,
        anchor_image_size=None,
        **LABELS,
    )
    _save(folder, transformers.RTDetrForObjectDetection, config, RTDetrImageProcessorPil(size=SQUARE))


def segformer_classes(folder: Path) -> None:
    """A class for each pixel, and nothing else."""
    config = transformers.SegformerConfig(
        num_encoder_blocks=4,
        depths=[1, 1, 1, 1],
        sr_ratios=[8, 4, 2, 1],
        hidden_sizes=[8, 16, 24, SIZE],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=SIZE,
        initializer_range=SPREAD,
        **LABELS,
    )
    _save(folder, transformers.SegformerForSemanticSegmentation, config, SegformerImageProcessorPil(size=SQUARE))


def mask2former_segments(folder: Path) -> None:
    """Masks of objects, from which all three subtasks are answered; images keep their proportions."""
    backbone = transformers.SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=4,
        out_features=ALL_STAGES,
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=SIZE,
        mask_feature_size=SIZE,
        hidden_dim=SIZE,
        encoder_feedforward_dim=2 * SIZE,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=4,
        dim_feedforward=2 * SIZE,
        num_queries=QUERIES,
        train_num_points=16,
        **LABELS,
    )
    processor = Mask2FormerImageProcessorPil(size=EDGES, ignore_index=255)
    _save(folder, transformers.Mask2FormerForUniversalSegmentation, config, processor)


def detr_segments(folder: Path) -> None:
    """Boxes and masks of objects; its processor can do all three subtasks too."""
    processor = DetrImageProcessorPil(size=EDGES, format="coco_panoptic")
    _save(folder, transformers.DetrForSegmentation, _detr(ALL_STAGES, heads=8), processor)


def _detr(stages: list[str], heads: int = 4) -> transformers.PretrainedConfig:
    return transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=transformers.ResNetConfig(**STAGES, out_features=stages),
        d_model=SIZE,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=2 * SIZE,
        decoder_ffn_dim=2 * SIZE,
        num_queries=QUERIES,
        **LABELS,
    )


def _save(
    folder: Path,
    model: type[transformers.PreTrainedModel],
    config: transformers.PretrainedConfig,
    processor: Any,
) -> None:
    with seeded():
        made = model(config)
        _enliven(made)
    made.save_pretrained(folder)
    processor.save_pretrained(folder)


@torch.no_grad()
def _enliven(model: torch.nn.Module) -> None:
    """Draws larger weights: with those of an untrained model all objects are one and the same."""
    for name, weight in model.named_parameters():
        if weight.ndim in (2, 4):  # linear layers, embeddings and convolutions
            spread = 1.0 if QUERIES in weight.shape else GAIN / weight[0].numel() ** 0.5
            weight.normal_(std=spread * next((more for part, more in CONTRAST.items() if name.endswith(part)), 1))
        elif weight.ndim == 3:
            weight.normal_()
        elif "class" in name and len(weight) == len(LABELS["id2label"]) + 1:
            weight[-1] = -4.0  # the class that means: no object


BUILDERS = (
    detr_objects,
    yolos_objects,
    rt_detr_objects,
    segformer_classes,
    mask2former_segments,
    detr_segments,
)

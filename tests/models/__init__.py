"""Tiny seeded models, one builder each: a function that writes a model into a folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def builder(name: str) -> Callable[[Path], None]:
    """The builder of a model, by its name, from the BUILDERS of any module here."""
    for module in pkgutil.iter_modules(__path__):
        for found in getattr(importlib.import_module(f"{__name__}.{module.name}"), "BUILDERS", ()):
            if found.__name__ == name:
                return found  # type: ignore[no-any-return]
    raise KeyError(name)


FAMILIES = {
    "audio-classification": ("wav2vec2_commands", "hubert_emotions", "ast_sounds"),
    "automatic-speech-recognition": ("wav2vec2_ctc", "hubert_ctc", "whisper", "whisper_english"),
    "custom": ("echo", "legacy_pipeline"),
    "conversational": ("qwen2_chat", "llama_ends", "gpt2_text"),
    "feature-extraction": ("bert_base", "roberta_base", "gpt2_base"),
    "fill-mask": ("bert_masked", "roberta_masked"),
    "image-classification": ("vit_animals", "resnet_animals", "convnext_tags", "swin_quality"),
    "image-segmentation": ("segformer_classes", "mask2former_segments", "detr_segments"),
    "object-detection": ("detr_objects", "yolos_objects", "rt_detr_objects"),
    "question-answering": ("bert_squad", "roberta_squad", "distilbert_squad"),
    "sentence-embeddings": ("sentence_mean", "sentence_prompts", "roberta_base"),
    "sentence-ranking": ("bert_cross_encoder", "roberta_cross_encoder"),
    "sentence-similarity": ("sentence_mean", "sentence_prompts"),
    "summarization": ("bart_summary", "t5_prefixes"),
    "table-question-answering": ("tapas_wtq", "tapex_bart"),
    "text-classification": (
        "distilbert_sentiment",
        "roberta_emotions",
        "gpt2_sentiment",
        "deberta_toxicity",
        "xlm_roberta_languages",
    ),
    "text-generation": ("gpt2_text", "llama_ends", "qwen2_chat"),
    "text2text-generation": ("flan_t5", "t5_prefixes", "bart_summary"),
    "text-to-image": ("stable_diffusion", "stable_diffusion_3"),
    "token-classification": ("bert_entities", "xlm_roberta_entities", "deberta_entities"),
    "translation": ("marian", "t5_prefixes"),
    "visual-question-answering": ("vilt_vqa", "blip_vqa"),
    "zero-shot-classification": ("roberta_nli", "bart_nli", "deberta_nli"),
    "zero-shot-image-classification": ("clip", "siglip"),
}
"""Models of every task, of several families each; the task's own example works on all of them."""

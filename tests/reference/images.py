"""Labels of images by transformers' pipelines; answers about images, whose pipeline is gone, by its models alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tests.models.image_text import CLIP_WINDOW
from transformers import AutoImageProcessor, AutoModelForVisualQuestionAnswering, AutoTokenizer, pipeline
from transformers.image_utils import load_image


@functools.cache
def _pipeline(task: str, folder: Path) -> Any:
    return pipeline(task, model=str(folder), device="cpu")


def classification(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"label", "score"}]`."""
    return _pipeline("image-classification", folder)(inputs, **parameters)


def zero_shot(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"label", "score"}]`."""
    made = _pipeline("zero-shot-image-classification", folder)
    assert made.tokenizer.model_max_length >= CLIP_WINDOW
    return made(inputs, **parameters)


@functools.cache
def _answerer(folder: Path) -> tuple[Any, Any, Any]:
    model = AutoModelForVisualQuestionAnswering.from_pretrained(folder).eval()
    return AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder), model


def visual_answers(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"score", "answer"}]` for `{"image", "question"}`, and a list of that for a list."""
    if isinstance(inputs, list):
        return [visual_answers(folder, item, parameters) for item in inputs]
    tokenizer, processor, model = _answerer(folder)
    image = processor(images=load_image(inputs["image"]), return_tensors="pt")
    with torch.inference_mode():
        if not model.can_generate():
            encoded = tokenizer(inputs["question"], truncation=True, return_tensors="pt")
            scores = model(**encoded, **image).logits.sigmoid()[0]
            best = scores.topk(min(parameters.get("top_k", 5), len(scores)))
            names = model.config.id2label
            return [{"score": float(score), "answer": names[int(index)]} for score, index in zip(*best, strict=True)]
        encoded = tokenizer(inputs["question"], truncation=True, return_token_type_ids=False, return_tensors="pt")
        (ids,) = model.generate(**encoded, **image, generation_config=model.generation_config)
        score = _probability(model, encoded, image["pixel_values"], ids)
    return [{"score": score, "answer": tokenizer.decode(ids, skip_special_tokens=True).strip()}]


def _probability(model: Any, encoded: Mapping[str, torch.Tensor], pixels: torch.Tensor, ids: torch.Tensor) -> float:
    """Of all tokens of an answer one after the other, by one more pass of BLIP's decoder over the finished answer."""
    seen = model.text_encoder(
        **encoded, encoder_hidden_states=model.vision_model(pixel_values=pixels)[0], return_dict=False
    )[0]
    logits = model.text_decoder(ids[None], encoder_hidden_states=seen).logits[0]
    chosen = torch.log_softmax(logits[:-1], dim=-1).gather(1, ids[1:, None])[:, 0]
    ends = (ids[1:] == model.config.text_config.sep_token_id).nonzero()
    last = int(ends[0]) + 1 if len(ends) else len(chosen)
    return float(chosen[:last].sum().exp())


REFERENCES = {
    "image-classification": classification,
    "zero-shot-image-classification": zero_shot,
    "visual-question-answering": visual_answers,
}

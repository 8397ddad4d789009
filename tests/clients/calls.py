"""What each client is asked to call for each task, and the form of what it must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests import media

from hub2triton.tasks.media import base64_of

SCORE = {"label": str, "score": float}
FILE = {"$file": str}


@dataclass(frozen=True)
class Call:
    """One method of a client.

    Attributes:
        task: What the model does; it is served under the task's name.
        form: Of the answer: a type; a list whose one item is the form of all its items, of which there must be one; an
            object with the forms of values that it must have, among others.
    """

    task: str
    method: str
    args: dict[str, Any]
    form: Any

    @property
    def name(self) -> str:
        """For a test."""
        return f"{self.task}.{self.method}"


def fits(answer: Any, form: Any) -> bool:
    """Whether an answer has a form."""
    if isinstance(form, list):
        return isinstance(answer, list) and bool(answer) and all(fits(item, form[0]) for item in answer)
    if isinstance(form, dict):
        if not isinstance(answer, dict):
            return False
        return all(fits(answer.get(key), inner) for key, inner in form.items())
    if form is float:
        return isinstance(answer, int | float) and not isinstance(answer, bool)
    return isinstance(answer, form)


IMAGE = {"$file": base64_of(media.image_file(media.photo(), "jpeg")), "type": "image/jpeg"}
UNTYPED = {"$file": base64_of(media.image_file(media.photo())), "type": ""}
SOUND = {"$file": base64_of(media.sound_file(media.voice(1))), "type": "audio/wav"}
QUESTION = {"question": "who is happy?", "context": "The old man is sad. The young woman is happy today."}
TABLE = {"city": ["paris", "a big old city"], "people": ["12", "3400"]}
CHAT = [{"role": "user", "content": "who is the teacher?"}]
BOX = {"xmin": float, "ymin": float, "xmax": float, "ymax": float}
CHOICE = {"index": int, "message": {"role": str, "content": str}, "finish_reason": str}
COMPLETION = {"id": str, "choices": [CHOICE], "usage": {"prompt_tokens": int, "completion_tokens": int}}

JAVASCRIPT = (
    Call("text-classification", "textClassification", {"inputs": "a red bird"}, [SCORE]),
    Call(
        "zero-shot-classification",
        "zeroShotClassification",
        {"inputs": "a red bird", "parameters": {"candidate_labels": ["bird", "horse"]}},
        [SCORE],
    ),
    Call(
        "token-classification",
        "tokenClassification",
        {"inputs": "the old horse saw Paris"},
        [{"entity_group": str, "score": float, "word": str, "start": int, "end": int}],
    ),
    Call(
        "question-answering",
        "questionAnswering",
        {"inputs": QUESTION},
        {"answer": str, "score": float, "start": int, "end": int},
    ),
    Call(
        "table-question-answering",
        "tableQuestionAnswering",
        {"inputs": {"query": "how many people?", "table": TABLE}},
        {"answer": str, "aggregator": str, "cells": list, "coordinates": list},
    ),
    Call(
        "fill-mask",
        "fillMask",
        {"inputs": "a [MASK] bird"},
        [{"score": float, "sequence": str, "token": int, "token_str": str}],
    ),
    Call("summarization", "summarization", {"inputs": "the old horse saw a red bird"}, {"summary_text": str}),
    Call("translation", "translation", {"inputs": "a red bird"}, {"translation_text": str}),
    Call(
        "text-generation",
        "textGeneration",
        {"inputs": "the old horse", "parameters": {"max_new_tokens": 5}},
        {"generated_text": str},
    ),
    Call("text-generation", "chatCompletion", {"messages": CHAT, "max_tokens": 5}, COMPLETION),
    Call("conversational", "chatCompletion", {"messages": CHAT, "max_tokens": 5}, COMPLETION),
    Call("feature-extraction", "featureExtraction", {"inputs": "a red bird"}, list),
    Call("sentence-embeddings", "featureExtraction", {"inputs": ["a red bird", "a blue one"]}, [[float]]),
    Call(
        "sentence-similarity",
        "sentenceSimilarity",
        {"inputs": {"source_sentence": "a red bird", "sentences": ["a blue bird", "the old horse"]}},
        [float],
    ),
    Call(
        "sentence-embeddings",
        "sentenceSimilarity",
        {"inputs": {"source_sentence": "a red bird", "sentences": ["a blue bird", "the old horse"]}},
        [float],
    ),
    Call("image-classification", "imageClassification", {"data": IMAGE}, [SCORE]),
    Call("image-classification", "imageClassification", {"data": UNTYPED}, [SCORE]),
    Call("object-detection", "objectDetection", {"data": IMAGE}, [{**SCORE, "box": BOX}]),
    Call("image-segmentation", "imageSegmentation", {"inputs": IMAGE}, [{**SCORE, "mask": str}]),
    Call(
        "zero-shot-image-classification",
        "zeroShotImageClassification",
        {"inputs": {"image": IMAGE}, "parameters": {"candidate_labels": ["a bird", "a horse"]}},
        [SCORE],
    ),
    Call(
        "visual-question-answering",
        "visualQuestionAnswering",
        {"inputs": {"question": "who is it?", "image": IMAGE}},
        {"answer": str, "score": float},
    ),
    Call("automatic-speech-recognition", "automaticSpeechRecognition", {"data": SOUND}, {"text": str}),
    Call("audio-classification", "audioClassification", {"data": SOUND}, [SCORE]),
    Call("text-to-image", "textToImage", {"inputs": "a red bird", "parameters": {"num_inference_steps": 2}}, FILE),
)

PNG, WAV = {"$file": IMAGE["$file"]}, {"$file": SOUND["$file"]}

PYTHON = (
    Call("text-classification", "text_classification", {"text": "a red bird"}, [SCORE]),
    Call("text-classification", "text_classification", {"text": "a red bird", "top_k": 1}, [SCORE]),
    Call(
        "zero-shot-classification",
        "zero_shot_classification",
        {"text": "a red bird", "candidate_labels": ["bird", "horse"], "multi_label": True},
        [SCORE],
    ),
    Call(
        "token-classification",
        "token_classification",
        {"text": "the old horse saw Paris", "aggregation_strategy": "simple"},
        [{"entity_group": str, "score": float, "word": str, "start": int, "end": int}],
    ),
    Call(
        "question-answering",
        "question_answering",
        QUESTION,
        {"answer": str, "score": float, "start": int, "end": int},
    ),
    Call(
        "table-question-answering",
        "table_question_answering",
        {"query": "how many people?", "table": TABLE},
        {"answer": str},
    ),
    Call(
        "fill-mask",
        "fill_mask",
        {"text": "a [MASK] bird", "top_k": 2},
        [{"score": float, "sequence": str, "token": int, "token_str": str}],
    ),
    Call("summarization", "summarization", {"text": "the old horse saw a red bird"}, {"summary_text": str}),
    Call("translation", "translation", {"text": "a red bird"}, {"translation_text": str}),
    Call("text-generation", "text_generation", {"prompt": "the old horse", "max_new_tokens": 5}, str),
    Call(
        "text-generation",
        "text_generation",
        {"prompt": "the old horse", "max_new_tokens": 5, "details": True},
        {"generated_text": str, "details": {"generated_tokens": int, "finish_reason": str, "tokens": list}},
    ),
    Call("text2text-generation", "text_generation", {"prompt": "the old horse", "max_new_tokens": 5}, str),
    Call("text-generation", "chat_completion", {"messages": CHAT, "max_tokens": 5}, COMPLETION),
    Call("conversational", "chat_completion", {"messages": CHAT, "max_tokens": 5}, COMPLETION),
    Call("feature-extraction", "feature_extraction", {"text": "a red bird"}, [[[float]]]),
    Call("sentence-embeddings", "feature_extraction", {"text": "a red bird", "normalize": True}, [[float]]),
    Call("sentence-embeddings", "feature_extraction", {"text": ["a red bird", "a blue one"]}, [[float]]),
    Call(
        "sentence-similarity",
        "sentence_similarity",
        {"sentence": "a red bird", "other_sentences": ["a blue bird", "the old horse"]},
        [float],
    ),
    Call("image-classification", "image_classification", {"image": PNG}, [SCORE]),
    Call("image-classification", "image_classification", {"image": PNG, "top_k": 1}, [SCORE]),
    Call("object-detection", "object_detection", {"image": PNG, "threshold": 0.01}, [{**SCORE, "box": BOX}]),
    Call("image-segmentation", "image_segmentation", {"image": PNG}, [{**SCORE, "mask": FILE}]),
    Call(
        "zero-shot-image-classification",
        "zero_shot_image_classification",
        {"image": PNG, "candidate_labels": ["a bird", "a horse"]},
        [SCORE],
    ),
    Call(
        "visual-question-answering",
        "visual_question_answering",
        {"image": PNG, "question": "who is it?"},
        [{"answer": str, "score": float}],
    ),
    Call("automatic-speech-recognition", "automatic_speech_recognition", {"audio": WAV}, {"text": str}),
    Call("audio-classification", "audio_classification", {"audio": WAV, "top_k": 2}, [SCORE]),
    Call("text-to-image", "text_to_image", {"prompt": "a red bird", "num_inference_steps": 2}, FILE),
)

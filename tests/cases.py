"""What every family of a task is asked, besides the task's own example; a row for each task, and none is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests import media
from tests.oracle import record

from hub2triton import tasks
from hub2triton.tasks.media import base64_of

CERTAIN = {"do_sample": False, "max_new_tokens": 12}
"""For tasks that generate: tokens that can be compared, and not many."""

TEXTS = ["today is a sunny day", "x", "Zoe\u0308 🙂 saw a very large machine in Paris\n(by night)", "a red bird"]
PAIR = {"text": "a red bird", "text_pair": "the old horse"}
WORDS = [["Zoe\u0308", "saw", "New York", "", "🙂"], ["x"]]
TABLE = {"city": ["paris", "a big old city", ""], "people": ["12", "3400", "7"]}
CHAT = [{"role": "user", "content": "who is the teacher?"}]
PHOTOS = [
    base64_of(media.image_file(media.photo(50, 40, 1), "jpeg", orientation=6)),
    base64_of(media.image_file(media.photo(30, 70, 2), "webp")),
]
VOICES = [
    base64_of(media.sound_file(media.voice(2.5, 44_100, 1), 44_100, "flac")),
    base64_of(media.sound_file(media.voice(1.2, 48_000, 2), 48_000, "opus")),
    base64_of(media.speech()),
]
SHORT = {"question": "who is happy?", "context": "The old man is sad. The young woman in the big city is happy today."}


@dataclass(frozen=True)
class Case:
    """A request, without what its family needs besides."""

    inputs: Any
    parameters: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, list[Case]] = {
    "text-classification": [
        Case(TEXTS),
        Case(TEXTS, {"top_k": None}),
        Case([PAIR, PAIR], {"top_k": 2, "function_to_apply": "sigmoid"}),
        Case(TEXTS[0], {"top_k": 1, "function_to_apply": "none"}),
        Case("the old horse " * 50, {"truncation": "only_first"}),
    ],
    "zero-shot-classification": [
        Case(TEXTS, {"candidate_labels": ["bird", "horse"], "multi_label": True, "hypothesis_template": "it is {}"}),
        Case(TEXTS[:1], {"candidate_labels": ["bird"]}),
    ],
    "token-classification": [
        Case(TEXTS, {"ignore_labels": []}),
        Case(TEXTS, {"aggregation_strategy": "average", "ignore_labels": ["O", "LOC"]}),
        Case("the old horse saw Paris " * 20, {"aggregation_strategy": "simple", "stride": 7}),
        Case(WORDS, {"is_split_into_words": True, "delimiter": "--", "aggregation_strategy": "first"}),
        Case(WORDS[0], {"is_split_into_words": True}),
    ],
    "fill-mask": [
        Case(["a [MASK]", "the [MASK] is a big [MASK]"], {"top_k": 3}),
        Case("a [MASK] day", {"targets": ["sunny", "cold", "xyz"]}),
    ],
    "question-answering": [
        Case([SHORT, {"question": "who?", "context": "The dog. the DOG! A dog? THE DOG."}]),
        Case(SHORT, {"top_k": 4, "handle_impossible_answer": True}),
        Case({**SHORT, "context": SHORT["context"] * 8}, {"top_k": 3, "align_to_words": False, "doc_stride": 8}),
    ],
    "table-question-answering": [Case({"query": ["how many people?", "which city is old?"], "table": TABLE})],
    "feature-extraction": [Case(TEXTS), Case("the old horse " * 50, {"truncation": True})],
    "sentence-embeddings": [Case(TEXTS), Case(TEXTS[0], {"normalize": True}), Case(TEXTS[:1], {"dimensions": 7})],
    "sentence-similarity": [Case({"source_sentence": TEXTS[0], "sentences": TEXTS})],
    "sentence-ranking": [
        Case([[text, "a blue bird"] for text in TEXTS]),
        Case({"query": "where is the bird?", "texts": TEXTS}, {"return_documents": True}),
    ],
    "summarization": [Case(TEXTS)],
    "translation": [Case(TEXTS)],
    "text2text-generation": [Case(TEXTS, {"num_beams": 2}), Case(TEXTS[2], {"num_beams": 1})],
    "text-generation": [
        Case(TEXTS),
        Case(TEXTS[2], {"return_full_text": False, "num_beams": 2, "repetition_penalty": 1.5}),
    ],
    "text-to-image": [
        Case(TEXTS[2], {"num_inference_steps": 3, "seed": 1, "height": 16, "width": 24, "negative_prompt": "fog"}),
    ],
    "custom": [Case(TEXTS[2], {"more": [1, None]})],
    "object-detection": [Case(PHOTOS, {"threshold": 0.1})],
    "image-segmentation": [
        Case(PHOTOS, {"subtask": "semantic"}),
        Case(PHOTOS[0], {"threshold": 0.2, "mask_threshold": 0.3, "overlap_mask_area_threshold": 0.1}),
    ],
    "automatic-speech-recognition": [Case(VOICES), Case(VOICES[0], {"chunk_length_s": 1.0})],
    "audio-classification": [Case(VOICES, {"top_k": 2}), Case(VOICES[0], {"function_to_apply": "none"})],
    "conversational": [Case([CHAT, [{"role": "system", "content": "be good"}, *CHAT]])],
}

OF_FAMILY: dict[tuple[str, str], dict[str, Any]] = {
    ("translation", "t5_prefixes"): {"src_lang": "en", "tgt_lang": "fr"},
    ("table-question-answering", "tapex_bart"): {"truncation": True},  # the example's table is long for a tiny window
}
"""What a family must be told besides."""


def cases(task: str, family: str) -> list[Case]:
    """All requests to a family, the task's example first, complete."""
    spec = tasks.find(task)
    assert spec is not None
    certain = CERTAIN if any(parameter.name == "do_sample" for parameter in spec.parameters) else {}
    more = {**certain, **OF_FAMILY.get((task, family), {})}
    example = Case(spec.example["inputs"], dict(spec.example.get("parameters", {})))
    return [Case(case.inputs, {**case.parameters, **more}) for case in (example, *CASES.get(task, []))]


def stored(task: str, family: str) -> list[record.Case]:
    """Requests to a family with the answers that transformers 4.57 gave."""
    found = (case for name in ("question_answering", "seq2seq") for case in record.stored(name))
    return [case for case in found if (case.task, case.model) == (task, family)]

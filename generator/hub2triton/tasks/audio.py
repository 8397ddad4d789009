"""Sounds: what is said in them (automatic-speech-recognition), and what they are (audio-classification)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hub2triton.tasks import graph, schema
from hub2triton.tasks.classification import labels_of
from hub2triton.tasks.generation import GENERATION
from hub2triton.tasks.parameter import ParameterSpec, merged, snake_case
from hub2triton.tasks.payload import Payload, PayloadError
from hub2triton.tasks.reading import TOKENIZER, WEIGHTS, items
from hub2triton.tasks.sample import sound
from hub2triton.tasks.sound import AUDIO, FEATURES, MAX_AUDIO_SECONDS, SOUNDS, row
from hub2triton.tasks.spec import Answer, Call, Json, Library, Media, Profile, Setting, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

MILLISECONDS = 3
"""Decimals of a time in seconds; models tell it to a hundredth at best."""

STEERING = (
    "max_new_tokens",
    "max_length",
    "min_new_tokens",
    "min_length",
    "do_sample",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "num_beams",
    "early_stopping",
    "length_penalty",
)
"""The parameters of generation that mean something to a model that writes down one text for a sound."""

STRIDE = ParameterSpec(
    "stride_length_s",
    float,
    "Seconds that the parts share on each side, or a list of two numbers for the left and the right; default a sixth "
    "of chunk_length_s.",
    minimum=0,
)
SPEECH_PARAMETERS = (
    ParameterSpec(
        "return_timestamps",
        bool,
        'Also say when what was said: "word" for each word, "char" for each character (CTC models), true for each '
        "segment (Whisper); default false.",
        choices=("word", "char"),
    ),
    ParameterSpec(
        "chunk_length_s",
        float,
        "Read the sound in parts of so many seconds; default 0: CTC models do so only for long sounds, and Whisper has "
        "its own way for them.",
        minimum=0,
    ),
    STRIDE,
    ParameterSpec("language", str, "The language that is spoken, such as en or english (Whisper); default as heard."),
    ParameterSpec(
        "task",
        str,
        "Write down what is said, or its English translation (Whisper); default as the model's "
        "generation_config.json says.",
        choices=("transcribe", "translate"),
    ),
    ParameterSpec("return_language", bool, "Also say which language was heard (Whisper); default false."),
    *(parameter for parameter in GENERATION if parameter.name in STEERING),
)
LABEL_PARAMETERS = (
    ParameterSpec("top_k", int, "How many labels, the best first; default all.", aliases=("topk",), minimum=1),
    ParameterSpec(
        "function_to_apply",
        str,
        "What makes scores of the model's logits; default as the model's problem_type asks for.",
        choices=("sigmoid", "softmax", "none"),
    ),
)

TRANSCRIPT = (
    TensorSpec("text", DataType.BYTES, (1,), "the UTF-8 text of the whole sound"),
    TensorSpec("chunk_text", DataType.BYTES, (-1,), "its parts; none unless timestamps or languages are asked for"),
    TensorSpec(
        "chunk_timestamp", DataType.FP32, (-1, 2), "the start and the end of each part in seconds; NaN where not known"
    ),
    TensorSpec("chunk_language", DataType.BYTES, (-1,), "the language of each part; empty unless return_language"),
    COUNT,
)
LABELS = (
    TensorSpec("label", DataType.BYTES, (-1,), "labels, the best first"),
    TensorSpec("score", DataType.FP32, (-1,), "the labels' scores"),
    COUNT,
)

MAX_CHUNK_SECONDS = Setting(
    "max_chunk_seconds",
    "60",
    "The longest part of a sound that a CTC model reads at once, in seconds: its memory grows with the square.",
)

SECONDS = {"type": ["number", "null"]}
SPEECH_SCHEMA = schema.Schema(
    SOUNDS,
    schema.one_or_list(
        schema.record(
            {"text": schema.TEXT},
            {
                "chunks": schema.array(
                    schema.record(
                        {"text": schema.TEXT},
                        {"timestamp": schema.array(SECONDS, 2, 2), "language": {"type": ["string", "null"]}},
                    )
                )
            },
        )
    ),
    {
        STRIDE.name: {
            **schema.either(schema.parameter(STRIDE), schema.array({"type": "number", "minimum": 0}, 2, 2)),
            "description": STRIDE.description,
        }
    },
)


def encode_speech(payload: Payload) -> Call:
    """A sound or a list of them."""
    rows, single = items(payload, row)
    payload, strides = _with_single_stride(payload)
    parameters = merged(payload, SPEECH_PARAMETERS)
    if strides is not None:
        parameters[STRIDE.name] = strides
    decode = partial(
        decode_speech,
        single=single,
        timed=bool(parameters.get("return_timestamps")),
        named=bool(parameters.get("return_language")),
    )
    return Call(rows, parameters, decode)


def decode_speech(
    answers: Sequence[Answer],
    profile: Profile,  # noqa: ARG001
    *,
    single: bool,
    timed: bool,
    named: bool,
) -> Json:
    """`{"text"}` for each sound, with `chunks` where timestamps or languages were asked for; the same for all clients.

    Some models always answer with timestamps, as their generation_config.json asks for; theirs are told too.
    """
    transcripts = [_transcript(answer, timed=timed, named=named) for answer in answers]
    return transcripts[0] if single else transcripts


def encode_labels(payload: Payload) -> Call:
    """A sound or a list of them."""
    rows, single = items(payload, row)
    return Call(rows, merged(payload, LABEL_PARAMETERS), partial(decode_labels, single=single))


def decode_labels(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    """A list of labels for each sound, the best first; the same for all clients."""
    lists = [labels_of(answer) for answer in answers]
    return lists[0] if single else lists


def _transcript(answer: Answer, *, timed: bool, named: bool) -> Json:
    found: dict[str, Json] = {"text": bytes(answer["text"][0]).decode()}
    times = answer["chunk_timestamp"]
    timed = timed or not all(math.isnan(time) for pair in times for time in pair)
    if not (timed or named):
        return found
    chunks = []
    columns = zip(answer["chunk_text"], times, answer["chunk_language"], strict=True)
    for text, (start, end), language in columns:
        chunk: dict[str, Json] = {"language": language.decode() or None} if named else {}
        if timed:
            chunk["timestamp"] = [
                None if math.isnan(time) else round(float(time), MILLISECONDS) for time in (start, end)
            ]
        chunks.append({**chunk, "text": text.decode()})
    return {**found, "chunks": chunks}


def _with_single_stride(payload: Payload) -> tuple[Payload, list[float] | None]:
    """The payload without a `stride_length_s` that is a list, and that list."""
    lists = {
        key: value
        for key, value in payload.parameters.items()
        if snake_case(key) == STRIDE.name and isinstance(value, list)
    }
    if not lists:
        return payload, None
    value = next(iter(lists.values()))
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) and item >= 0 for item in value)
    if len(value) != 2 or not numbers:  # noqa: PLR2004 (left and right)
        raise PayloadError(f"parameter {STRIDE.name!r} must be a number of at least 0 or a list of two such numbers")
    rest = {key: value for key, value in payload.parameters.items() if key not in lists}
    return replace(payload, parameters=rest), value


AUTOMATIC_SPEECH_RECOGNITION = TaskSpec(
    name="automatic-speech-recognition",
    summary="What is said in a sound, as text.",
    variants={
        Library.TRANSFORMERS: Variant("automatic_speech_recognition.py.jinja", TRANSCRIPT, requirements=("av>=14",))
    },
    library=Library.TRANSFORMERS,
    architectures=("*ForCTC", "WhisperForConditionalGeneration"),
    heads=("*ForCTC", "WhisperForConditionalGeneration"),
    needs=(FEATURES, TOKENIZER, WEIGHTS),
    inputs=(AUDIO,),
    parameters=SPEECH_PARAMETERS,
    encode=encode_speech,
    schema=SPEECH_SCHEMA,
    example={"inputs": sound()},
    max_batch_size=8,
    settings=(MAX_AUDIO_SECONDS, MAX_CHUNK_SECONDS),
    media=Media.AUDIO,
    media_alone=True,
    onnx=graph.of_media("automatic-speech-recognition", heads=("*ForCTC",)),
)

AUDIO_CLASSIFICATION = TaskSpec(
    name="audio-classification",
    summary="The labels of a sound, with their scores.",
    variants={Library.TRANSFORMERS: Variant("audio_classification.py.jinja", LABELS, requirements=("av>=14",))},
    library=Library.TRANSFORMERS,
    architectures=(
        "*ForAudioClassification",
        *(
            f"{family}ForSequenceClassification"
            for family in ("Wav2Vec2*", "Hubert", "WavLM", "UniSpeech*", "SEW*", "Data2VecAudio")
        ),
    ),
    heads=("*ForAudioClassification", "*ForSequenceClassification"),
    needs=(FEATURES, WEIGHTS),
    inputs=(AUDIO,),
    parameters=LABEL_PARAMETERS,
    encode=encode_labels,
    schema=schema.Schema(SOUNDS, schema.either(schema.LABELS, schema.array(schema.LABELS))),
    example={"inputs": sound()},
    max_batch_size=8,
    settings=(MAX_AUDIO_SECONDS,),
    media=Media.AUDIO,
    media_alone=True,
    onnx=graph.of_media("audio-classification"),
)

SPECS = (AUTOMATIC_SPEECH_RECOGNITION, AUDIO_CLASSIFICATION)

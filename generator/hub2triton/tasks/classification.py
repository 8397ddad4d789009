"""Labels for whole texts: text-classification with the model's own, zero-shot-classification with the caller's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import graph, schema
from hub2triton.tasks.parameter import ParameterSpec, merged, snake_case
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TEXT, TOKENIZER, TRUNCATE, WEIGHTS, items, with_tokenizer_arguments
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LABEL_LENGTH = 2000
"""Characters in a candidate label: it has to fit into the model's window with room for the text."""

MAX_QUESTIONS = 65_536
"""Candidate labels times texts in one request: each is one run of the model."""

TEXT_PARAMETERS = (
    ParameterSpec("top_k", int, "How many labels, the best first; null for all.", aliases=("topk",), minimum=1),
    ParameterSpec(
        "function_to_apply",
        str,
        "What makes scores of the model's logits; default as the model's problem_type asks for.",
        choices=("sigmoid", "softmax", "none"),
    ),
    TRUNCATE,
    ParameterSpec("max_length", int, "Cut texts at so many tokens, if the window is not smaller.", minimum=1),
)
RETURN_ALL_SCORES = ParameterSpec("return_all_scores", bool, "What top_k: null was called in transformers 4.")

ZERO_SHOT_PARAMETERS = (
    ParameterSpec(
        "multi_label",
        bool,
        "Judge each label by itself, instead of sharing a sum of 1 among them (default).",
        aliases=("multi_class",),
    ),
    ParameterSpec("hypothesis_template", str, 'A sentence with {} for the label; default "This example is {}.".'),
    replace(TRUNCATE, choices=("do_not_truncate", "only_first")),  # a label is never cut
)
CANDIDATE_LABELS = ParameterSpec("candidate_labels", list, "The labels to choose from.", commas=True)

LABELS = (
    TensorSpec("label", DataType.BYTES, (-1,), "labels, the best first"),
    TensorSpec("score", DataType.FP32, (-1,), "the labels' scores"),
    COUNT,
)

PAIR = schema.record({"text": schema.TEXT}, {"text_pair": {"type": ["string", "null"]}}, closed=True)
TEXT_SCHEMA = schema.Schema(
    schema.either(
        schema.TEXT,
        PAIR,
        schema.array(schema.either(schema.TEXT, PAIR, schema.array(schema.TEXT, 2, 2)), least=1),
    ),
    schema.either(schema.LABELS, schema.array(schema.LABELS)),
    schema.parameters((RETURN_ALL_SCORES,)),
)
ZERO_SHOT_SCHEMA = schema.Schema(
    schema.either(schema.TEXTS, schema.record({"sequences": schema.TEXTS}, schema.parameters((CANDIDATE_LABELS,)))),
    schema.one_or_list(
        schema.record(
            {"sequence": schema.TEXT, "labels": schema.array(schema.TEXT), "scores": schema.array(schema.NUMBER)}
        )
    ),
    schema.parameters((CANDIDATE_LABELS,)),
)


def encode_text(payload: Payload) -> Call:
    """A text, a pair {"text", "text_pair"}, or a list of such; pairs also as lists of two."""
    rows, single = items(payload, partial(_text_or_pair, payload))
    payload = with_tokenizer_arguments(payload)
    parameters = merged(payload, (*TEXT_PARAMETERS, RETURN_ALL_SCORES))
    return_all: bool | None = parameters.pop("return_all_scores", None)
    # Other than everywhere else, null is not the same as nothing: it asks for all labels.
    named = {snake_case(key) for key in (*payload.root, *payload.parameters)}
    chosen = "top_k" in parameters or bool({"top_k", "topk"} & named)
    best_only = not chosen and not return_all and (payload.profile is Profile.TOOLKIT or return_all is False)
    if best_only:
        parameters["top_k"] = 1
    decode = partial(decode_labels, unwrapped=single and chosen, best_only=best_only)
    return Call(rows, parameters, decode)


def decode_labels(answers: Sequence[Answer], profile: Profile, *, unwrapped: bool, best_only: bool) -> Json:
    """A list of labels for each text, which is what clients' parsers need.

    The container's own forms are others: for a request without top_k the best label of each text, in one list; with
    it, for a single text, that text's list by itself.
    """
    lists = [labels_of(answer) for answer in answers]
    if profile is not Profile.TOOLKIT:
        return lists
    if best_only:
        return [labels[0] for labels in lists]
    return lists[0] if unwrapped else lists


def encode_zero_shot(payload: Payload) -> Call:
    """A text or a list of them, with candidate labels among the parameters or beside the text."""
    payload = _with_inputs_parameters(payload)
    texts, single = items(payload)
    parameters = merged(with_tokenizer_arguments(payload), (*ZERO_SHOT_PARAMETERS, CANDIDATE_LABELS))
    labels = payload.texts(parameters.pop("candidate_labels", []), "candidate_labels")
    if not labels:
        raise PayloadError(
            'parameter "candidate_labels" must name at least one label, as in {"candidate_labels": ["refund", "faq"]}'
        )
    if max(map(len, labels)) > MAX_LABEL_LENGTH:
        raise PayloadError(f"a candidate label is longer than {MAX_LABEL_LENGTH:,} characters; shorten it", status=413)
    if len(labels) * len(texts) > MAX_QUESTIONS:
        raise PayloadError(
            f"{len(texts):,} texts with {len(labels):,} candidate labels each are too many for one request: texts "
            f"times labels may be {MAX_QUESTIONS:,}",
            status=413,
        )
    rows: list[Row] = [{"text": text, "candidate_labels": labels} for text in texts]
    return Call(rows, parameters, partial(decode_zero_shot, texts=texts, single=single))


def decode_zero_shot(answers: Sequence[Answer], profile: Profile, *, texts: Sequence[str], single: bool) -> Json:
    """`{"sequence", "labels", "scores"}` for each text; a list of labels for huggingface_hub since its version 1."""
    found: list[Json]
    if profile is Profile.PYTHON:
        found = [labels_of(answer) for answer in answers]
    else:
        found = [
            {"sequence": text, "labels": [label.decode() for label in answer["label"]], "scores": answer["score"]}
            for text, answer in zip(texts, answers, strict=True)
        ]
    return found[0] if single else found


def labels_of(answer: Answer) -> list[Json]:
    """`[{"label", "score"}]` of a row of any classifier, the best first."""
    return [
        {"label": label.decode(), "score": score} for label, score in zip(answer["label"], answer["score"], strict=True)
    ]


def _text_or_pair(payload: Payload, value: Any, where: str) -> Row:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 (a pair)
        value = {"text": value[0], "text_pair": value[1]}
    if isinstance(value, dict):
        if "text" not in value or value.keys() - {"text", "text_pair"}:
            given = ", ".join(map(repr, list(value)[:8])) or "none"
            raise PayloadError(f'{where} must have the key "text" and may have "text_pair" (keys given: {given})')
        pair = value.get("text_pair")
        second = "" if pair is None else payload.text(pair, f"text_pair of {where}")
        return {"text": payload.text(value["text"], f"text of {where}"), "text_pair": second}
    if not isinstance(value, str):
        raise PayloadError(f'{where} must be a string or a pair {{"text": "…", "text_pair": "…"}}, not {kind(value)}')
    return {"text": payload.text(value, where), "text_pair": ""}


def _with_inputs_parameters(payload: Payload) -> Payload:
    """Inputs that are an object hold a text, or texts, and parameters beside it."""
    if not isinstance(payload.inputs, dict):
        return payload
    inputs = dict(payload.inputs)
    key = next((key for key in ("sequences", "sequence", "text", "inputs") if key in inputs), None)
    if key is None:
        raise PayloadError('"inputs" must be a string, a list of strings, or an object with the key "sequences"')
    return replace(payload, inputs=inputs.pop(key), parameters={**inputs, **payload.parameters})


TEXT_CLASSIFICATION = TaskSpec(
    name="text-classification",
    aliases=("sentiment-analysis",),
    summary="The labels of a text, or of a pair of texts, with their scores.",
    variants={Library.TRANSFORMERS: Variant("text_classification.py.jinja", LABELS)},
    library=Library.TRANSFORMERS,
    architectures=("*ForSequenceClassification",),
    heads=("*ForSequenceClassification",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TEXT,
        TensorSpec(
            "text_pair",
            DataType.BYTES,
            (1,),
            "the second text of a pair; send an empty one rather than nothing, or requests batch less well",
            optional=True,
        ),
    ),
    parameters=TEXT_PARAMETERS,
    encode=encode_text,
    schema=TEXT_SCHEMA,
    example={
        "inputs": "This sound track was beautiful! It paints the senery in your mind so well I would recomend it even "
        "to people who hate vid. game music!"
    },
    max_batch_size=32,
    onnx=graph.of_text("text-classification"),
)

ZERO_SHOT_CLASSIFICATION = TaskSpec(
    name="zero-shot-classification",
    summary="Which of the caller's labels fit a text, by a model trained on NLI.",
    variants={Library.TRANSFORMERS: Variant("zero_shot_classification.py.jinja", LABELS)},
    library=Library.TRANSFORMERS,
    heads=("*ForSequenceClassification",),
    labels=("entail*",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TEXT,
        TensorSpec(
            "candidate_labels",
            DataType.BYTES,
            (-1,),
            "the UTF-8 labels to choose from; rows may differ in their number",
        ),
    ),
    parameters=ZERO_SHOT_PARAMETERS,
    encode=encode_zero_shot,
    schema=ZERO_SHOT_SCHEMA,
    example={
        "inputs": "Hi, I recently bought a device from your company but it is not working as advertised and I would "
        "like to get reimbursed!",
        "parameters": {"candidate_labels": ["refund", "legal", "faq"]},
    },
    max_batch_size=32,
    onnx=graph.of_text("text-classification"),
)

SPECS = (TEXT_CLASSIFICATION, ZERO_SHOT_CLASSIFICATION)

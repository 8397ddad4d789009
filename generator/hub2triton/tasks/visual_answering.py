"""Answers to questions about images: visual-question-answering."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.media import content
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TOKENIZER, TRUNCATE, WEIGHTS, cut_or_whole, items, with_tokenizer_arguments
from hub2triton.tasks.sample import picture
from hub2triton.tasks.spec import Answer, Call, Json, Library, Media, Profile, Row, TaskSpec, Variant
from hub2triton.tasks.vision import BATCH, IMAGE, IMAGE_PROCESSOR, MAX_IMAGE_PIXELS, PILLOW, beside_image
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COPIED = 512 * 2**20
"""Bytes of the images of one request, each counted for every question about it: so often it goes to the model."""

PARAMETERS = (
    ParameterSpec(
        "top_k",
        int,
        "How many answers, the best first, of a model that chooses among those it knows; default 5.",
        aliases=("topk",),
        minimum=1,
    ),
    replace(TRUNCATE, description="Cut a question that is longer than the model's window (default), or refuse it."),
)

ASKED = {"question": schema.TEXTS}
ANSWERS = schema.array(schema.record({"score": schema.NUMBER, "answer": schema.TEXT}))
SCHEMA = schema.Schema(
    schema.either(
        schema.FILE,
        schema.record({"image": schema.items(schema.FILE)}, ASKED),
        schema.array(schema.either(schema.FILE, schema.record({"image": schema.FILE}, ASKED, closed=True)), least=1),
    ),
    schema.either(ANSWERS, schema.array(ANSWERS)),
    ASKED,
)


def encode_questions(payload: Payload) -> Call:
    """`{"image", "question"}` or a list of such; or an image, or images, with the question among the parameters.

    There may be several questions about an image, and several images that are asked about; each question is asked about
    each image. The question may also stand at the root of the body, where huggingface_hub puts it.
    """
    payload = with_tokenizer_arguments(beside_image(payload))
    common = payload.parameters.get("question", payload.root.get("question"))
    kept = {name: value for name, value in payload.parameters.items() if name != "question"}
    parameters = cut_or_whole(merged(replace(payload, parameters=kept), PARAMETERS))
    found, single = items(payload, partial(_rows, payload, common))
    rows = [row for own in found for row in own]
    if len(rows) > payload.limits.rows:
        raise PayloadError(f"{len(rows):,} questions are too many; the limit is {payload.limits.rows:,}", status=413)
    if sum(len(row["image"]) for row in rows if isinstance(row["image"], bytes)) > MAX_COPIED:
        raise PayloadError("too many questions about so large images; ask fewer of them at once", status=413)
    return Call(rows, parameters, partial(decode_answers, single=single and isinstance(common, str)))


def decode_answers(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    """`[{"score", "answer"}]` for a question, and a list of that for a list of them."""
    found = [
        [
            {"score": score, "answer": text.decode()}
            for score, text in zip(answer["score"], answer["answer"], strict=True)
        ]
        for answer in answers
    ]
    return found[0] if single else found


def _rows(payload: Payload, common: Any, value: Any, where: str) -> list[Row]:
    """The questions about one image."""
    asked = common
    if isinstance(value, dict):
        if "image" not in value or value.keys() - {"image", "question"}:
            given = ", ".join(map(repr, list(value)[:8])) or "none"
            raise PayloadError(f'{where} must be {{"image": …, "question": …}} (keys given: {given})')
        asked, value = value.get("question", common), value["image"]
    image = content(value, f"image of {where}")
    questions = payload.texts(asked, '"question"') if isinstance(asked, list) else [_question(payload, asked)]
    if not questions or not all(question.strip() for question in questions):
        raise PayloadError("the question is empty; ask something about the image")
    return [{"image": image, "question": question} for question in questions]


def _question(payload: Payload, asked: Any) -> str:
    if asked is None:
        raise PayloadError('there is no question; send {"inputs": {"image": …, "question": "…"}}')
    if not isinstance(asked, str):
        raise PayloadError(f'"question" must be a string or a list of strings, not {kind(asked)}')
    return payload.text(asked, '"question"')


VISUAL_QUESTION_ANSWERING = TaskSpec(
    name="visual-question-answering",
    aliases=("vqa",),
    summary="Answers to a question about an image.",
    variants={
        Library.TRANSFORMERS: Variant(
            "visual_question_answering.py.jinja",
            (
                TensorSpec("answer", DataType.BYTES, (-1,), "the answers, the best first"),
                TensorSpec("score", DataType.FP32, (-1,), "how likely each answer is"),
                COUNT,
            ),
            PILLOW,
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("ViltForQuestionAnswering", "BlipForQuestionAnswering"),
    heads=("ViltForQuestionAnswering", "BlipForQuestionAnswering"),
    needs=(IMAGE_PROCESSOR, TOKENIZER, WEIGHTS),
    inputs=(IMAGE, TensorSpec("question", DataType.BYTES, (1,), "a UTF-8 question")),
    parameters=PARAMETERS,
    encode=encode_questions,
    schema=SCHEMA,
    example={"inputs": {"image": picture(), "question": "what is on the table?"}},
    max_batch_size=BATCH,
    root_forms=(("image", "question"),),
    settings=(MAX_IMAGE_PIXELS,),
    media=Media.IMAGE,
)

SPECS = (VISUAL_QUESTION_ANSWERING,)

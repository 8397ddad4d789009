"""Labels for images: image-classification with the model's own, zero-shot-image-classification with the caller's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import graph, schema
from hub2triton.tasks.classification import CANDIDATE_LABELS, LABELS, MAX_LABEL_LENGTH, MAX_QUESTIONS, labels_of
from hub2triton.tasks.media import content
from hub2triton.tasks.parameter import ParameterSpec, merged, snake_case
from hub2triton.tasks.payload import Payload, PayloadError
from hub2triton.tasks.reading import TOKENIZER, TRUNCATE, WEIGHTS, cut_or_whole, items, with_tokenizer_arguments
from hub2triton.tasks.sample import picture
from hub2triton.tasks.spec import (
    Answer,
    Call,
    Json,
    Library,
    Media,
    Need,
    Profile,
    Row,
    Setting,
    TaskSpec,
    Variant,
)
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.tasks.media import Link

IMAGE = TensorSpec("image", DataType.BYTES, (1,), "the bytes of an image file; images of all sizes batch together")

IMAGE_PROCESSOR = Need(
    ("preprocessor_config.json", "processor_config.json"), "it has no image processor, so it does not read images"
)
MAX_IMAGE_PIXELS = Setting(
    "max_image_pixels",
    "50000000",
    "Pixels of an image; a larger one is refused by its header, before it takes memory.",
)
PILLOW = ("pillow>=11",)

BATCH = 8
"""Images that Triton merges: as files they are megabytes each, and a model is busy with as many."""

TOP_K = ParameterSpec("top_k", int, "How many labels, the best first; default 5.", aliases=("topk",), minimum=1)

IMAGE_PARAMETERS = (
    TOP_K,
    ParameterSpec(
        "function_to_apply",
        str,
        "What makes scores of the model's logits; default as the model's problem_type asks for.",
        choices=("sigmoid", "softmax", "none"),
    ),
)
ZERO_SHOT_PARAMETERS = (
    ParameterSpec("hypothesis_template", str, 'A sentence with {} for the label; default "This is a photo of {}.".'),
    replace(TRUNCATE, description="Cut a label that is longer than the model's window (default), or refuse it."),
    ParameterSpec("max_length", int, "Cut labels at so many tokens, if the window is not smaller.", minimum=1),
)

LABELS_OR_LISTS = schema.either(schema.LABELS, schema.array(schema.LABELS))
LABELLED = schema.either(
    schema.FILES,
    schema.array(
        schema.either(schema.FILE, schema.record({"image": schema.FILE}, schema.parameters((CANDIDATE_LABELS,)))),
        least=1,
    ),
)


def encode_images(payload: Payload) -> Call:
    """An image or a list of them; each by itself or as `{"image": …}`."""
    payload = beside_image(payload)
    images, single = items(payload, image)
    rows: list[Row] = [{"image": found} for found in images]
    return Call(rows, merged(payload, IMAGE_PARAMETERS), partial(decode_labels, single=single))


def encode_zero_shot(payload: Payload) -> Call:
    """As `encode_images`, with candidate labels among the parameters or beside the image."""
    payload = with_tokenizer_arguments(beside_image(payload))
    parameters = cut_or_whole(merged(payload, (*ZERO_SHOT_PARAMETERS, CANDIDATE_LABELS)))
    common = parameters.pop("candidate_labels", [])
    rows, single = items(payload, partial(_image_and_labels, payload, common))
    if sum(len(row["candidate_labels"]) for row in rows) > MAX_QUESTIONS:
        raise PayloadError(
            f"{len(rows):,} images with their candidate labels are too many for one request: images times labels may "
            f"be {MAX_QUESTIONS:,}",
            status=413,
        )
    return Call(rows, parameters, partial(decode_labels, single=single))


def decode_labels(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    """`[{"label", "score"}]` for an image, and a list of that for a list of images."""
    found = [labels_of(answer) for answer in answers]
    return found[0] if single else found


def image(value: Any, where: str) -> bytes | Link:
    """The bytes of an image, or the link to it: what stands there itself, or `{"image": …}`.

    Raises:
        PayloadError: It is neither.
    """
    if isinstance(value, dict):
        if value.keys() != {"image"}:
            given = ", ".join(map(repr, list(value)[:8])) or "none"
            raise PayloadError(f'{where} must be an image or {{"image": …}} (keys given: {given})')
        return content(value["image"], f"image of {where}")
    return content(value, where)


def beside_image(payload: Payload) -> Payload:
    """A payload whose inputs are an object with the image, or images, and parameters beside it, taken apart."""
    if not isinstance(payload.inputs, dict):
        return payload
    beside = dict(payload.inputs)
    if "image" not in beside:
        given = ", ".join(map(repr, list(beside)[:8])) or "none"
        raise PayloadError(f'"inputs" must be an image, or an object with the key "image" (keys given: {given})')
    inputs = beside.pop("image")
    return replace(payload, inputs=inputs, parameters={**beside, **payload.parameters})


def _image_and_labels(payload: Payload, common: Sequence[str], value: Any, where: str) -> Row:
    labels = common
    if isinstance(value, dict):  # in a list, each image may have labels of its own
        own = {snake_case(key): item for key, item in value.items()}
        if "candidate_labels" in own:
            given = replace(payload, parameters={"candidate_labels": own.pop("candidate_labels")}, root={})
            labels = merged(given, (CANDIDATE_LABELS,)).get("candidate_labels", [])
        value = own
    found = image(value, where)
    labels = payload.texts(labels, "candidate_labels")
    if not labels:
        raise PayloadError(
            'parameter "candidate_labels" must name at least one label, as in {"candidate_labels": ["cat", "dog"]}'
        )
    if max(map(len, labels)) > MAX_LABEL_LENGTH:
        raise PayloadError(f"a candidate label is longer than {MAX_LABEL_LENGTH:,} characters; shorten it", status=413)
    return {"image": found, "candidate_labels": labels}


IMAGE_CLASSIFICATION = TaskSpec(
    name="image-classification",
    summary="The labels of an image with their scores.",
    variants={Library.TRANSFORMERS: Variant("image_classification.py.jinja", LABELS, PILLOW)},
    library=Library.TRANSFORMERS,
    architectures=("*ForImageClassification*",),
    heads=("*ForImageClassification*",),
    needs=(IMAGE_PROCESSOR, WEIGHTS),
    inputs=(IMAGE,),
    parameters=IMAGE_PARAMETERS,
    encode=encode_images,
    schema=schema.Schema(schema.FILES, LABELS_OR_LISTS),
    example={"inputs": picture()},
    max_batch_size=BATCH,
    settings=(MAX_IMAGE_PIXELS,),
    media=Media.IMAGE,
    media_alone=True,
    onnx=graph.of_media("image-classification"),
)

ZERO_SHOT_IMAGE_CLASSIFICATION = TaskSpec(
    name="zero-shot-image-classification",
    summary="Which of the caller's labels fit an image, by a model that compares images with texts.",
    variants={
        Library.TRANSFORMERS: Variant(
            "zero_shot_image_classification.py.jinja", LABELS, (*PILLOW, "sentencepiece>=0.2")
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("*CLIPModel", "MetaClip2Model", "Siglip*Model", "AlignModel"),
    heads=("*CLIPModel", "CLIPSegModel", "MetaClip2Model", "Siglip*Model", "AlignModel", "BlipModel"),
    needs=(IMAGE_PROCESSOR, TOKENIZER, WEIGHTS),
    inputs=(
        IMAGE,
        TensorSpec(
            "candidate_labels",
            DataType.BYTES,
            (-1,),
            "the UTF-8 labels to choose from; rows may differ in their number",
        ),
    ),
    parameters=ZERO_SHOT_PARAMETERS,
    encode=encode_zero_shot,
    schema=schema.Schema(LABELLED, LABELS_OR_LISTS, schema.parameters((CANDIDATE_LABELS,))),
    example={"inputs": picture(), "parameters": {"candidate_labels": ["a sunny day", "a red car", "food"]}},
    max_batch_size=BATCH,
    settings=(MAX_IMAGE_PIXELS,),
    media=Media.IMAGE,
    onnx=graph.of_media("zero-shot-image-classification"),
)

SPECS = (IMAGE_CLASSIFICATION, ZERO_SHOT_IMAGE_CLASSIFICATION)

"""What is where in an image: object-detection with boxes, image-segmentation with masks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hub2triton.tasks import graph, schema
from hub2triton.tasks.media import base64_of
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.reading import WEIGHTS, items
from hub2triton.tasks.sample import picture
from hub2triton.tasks.spec import Answer, Call, Json, Library, Media, Profile, Setting, TaskSpec, Variant
from hub2triton.tasks.vision import BATCH, IMAGE, IMAGE_PROCESSOR, MAX_IMAGE_PIXELS, PILLOW, beside_image, image
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub2triton.tasks.payload import Payload

MASK_MEMORY = Setting(
    "mask_memory_mb",
    "1024",
    "Memory for the masks of one image while objects are told apart; where they need more, they are found coarser.",
)

BOX = ("xmin", "ymin", "xmax", "ymax")

DETECTION_PARAMETERS = (ParameterSpec("threshold", float, "How likely an object must be; default 0.5."),)
SEGMENTATION_PARAMETERS = (
    ParameterSpec(
        "subtask",
        str,
        "What to look for; default is the first that the model can do of panoptic, instance and semantic.",
        choices=("panoptic", "instance", "semantic"),
    ),
    ParameterSpec("threshold", float, "How likely an object must be; default 0.9."),
    ParameterSpec("mask_threshold", float, "How likely a pixel must be to count for an object's size; default 0.5."),
    ParameterSpec(
        "overlap_mask_area_threshold",
        float,
        "The part of an object's pixels that must be left where others lie over it; default 0.5.",
    ),
)

LABEL = TensorSpec("label", DataType.BYTES, (-1,), "what each of them is")
SCORE = TensorSpec("score", DataType.FP32, (-1,), "how sure the model is of each")


def _schema(name: str, form: schema.JsonSchema) -> schema.Schema:
    """What bodies hold; `name` is the key under which it is told where something is."""
    found = schema.array(schema.record({"score": schema.NUMBER, "label": schema.TEXT, name: form}))
    return schema.Schema(schema.FILES, schema.either(found, schema.array(found)))


def encode(payload: Payload, parameters: Sequence[ParameterSpec], shape: Callable[[Answer], list[Json]]) -> Call:
    """An image or a list of them.

    Args:
        payload: The request's.
        parameters: What it may hold.
        shape: Makes the JSON of one image's answer.
    """
    payload = beside_image(payload)
    images, single = items(payload, image)
    return Call(
        [{"image": found} for found in images], merged(payload, parameters), partial(decode, shape=shape, single=single)
    )


def decode(answers: Sequence[Answer], _: Profile, *, shape: Callable[[Answer], list[Json]], single: bool) -> Json:
    """A list of what was found in each image, the same for every client."""
    found = [shape(answer) for answer in answers]
    return found[0] if single else found


def objects(answer: Answer) -> list[Json]:
    """`{"score", "label", "box"}` for each object, its box in pixels of the image as it was sent."""
    return [
        {"score": score, "label": label.decode(), "box": dict(zip(BOX, box, strict=True))}
        for score, label, box in zip(answer["score"], answer["label"], answer["box"], strict=True)
    ]


def segments(answer: Answer) -> list[Json]:
    """`{"score", "label", "mask"}` for each segment, its mask the base64 of a PNG of the image's size.

    The score is a number always: transformers' pipeline has none for classes of pixels, which JavaScript's client does
    not take.
    """
    return [
        {"score": score, "label": label.decode(), "mask": base64_of(mask)}
        for score, label, mask in zip(answer["score"], answer["label"], answer["mask"], strict=True)
    ]


OBJECT_DETECTION = TaskSpec(
    name="object-detection",
    summary="The objects in an image, each with a label, a score and a box around it.",
    variants={
        Library.TRANSFORMERS: Variant(
            "object_detection.py.jinja",
            (
                LABEL,
                SCORE,
                TensorSpec("box", DataType.INT32, (-1, 4), "xmin, ymin, xmax and ymax in pixels of the image"),
                COUNT,
            ),
            requirements=PILLOW,
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("*ForObjectDetection",),
    heads=("*ForObjectDetection",),
    needs=(IMAGE_PROCESSOR, WEIGHTS),
    inputs=(IMAGE,),
    parameters=DETECTION_PARAMETERS,
    encode=partial(encode, parameters=DETECTION_PARAMETERS, shape=objects),
    schema=_schema("box", schema.record(dict.fromkeys(BOX, schema.INTEGER))),
    example={"inputs": picture()},
    max_batch_size=BATCH,
    settings=(MAX_IMAGE_PIXELS,),
    media=Media.IMAGE,
    media_alone=True,
    onnx=graph.of_media("object-detection"),
)

IMAGE_SEGMENTATION = TaskSpec(
    name="image-segmentation",
    summary="An image cut into segments, each with a label, a score and a mask.",
    variants={
        Library.TRANSFORMERS: Variant(
            "image_segmentation.py.jinja",
            (
                LABEL,
                SCORE,
                TensorSpec(
                    "mask", DataType.BYTES, (-1,), "a grey PNG of the image's size: 255 where the segment is, else 0"
                ),
                COUNT,
            ),
            requirements=PILLOW,
        )
    },
    library=Library.TRANSFORMERS,
    architectures=(
        "*ForSemanticSegmentation",
        "*ForInstanceSegmentation",
        "*ForUniversalSegmentation",
        "*ForSegmentation",
    ),
    heads=("*Segmentation",),
    needs=(IMAGE_PROCESSOR, WEIGHTS),
    inputs=(IMAGE,),
    parameters=SEGMENTATION_PARAMETERS,
    encode=partial(encode, parameters=SEGMENTATION_PARAMETERS, shape=segments),
    schema=_schema("mask", schema.FILE),
    example={"inputs": picture()},
    max_batch_size=BATCH,
    settings=(MAX_IMAGE_PIXELS, MASK_MEMORY),
    media=Media.IMAGE,
    media_alone=True,
    onnx=graph.of_media("image-segmentation"),
)

SPECS = (OBJECT_DETECTION, IMAGE_SEGMENTATION)

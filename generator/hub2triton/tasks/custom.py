"""Models that bring the code of their endpoint along: custom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.media import MediaAnswer, base64_of, content
from hub2triton.tasks.parameter import literal
from hub2triton.tasks.spec import Answer, Call, Json, Library, Media, Need, Profile, Setting, TaskSpec, Variant
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.tasks.payload import Payload

JSON = "application/json"
OF = f"{JSON}; of="
"""What begins the media type of a file in base64; the rest is the file's own type."""


def encode(payload: Payload) -> Call:
    """The whole body as it is: what it means, the model's code knows."""
    data = dict(payload.body)
    file = data.pop("inputs") if isinstance(data.get("inputs"), bytes) else b""
    given = data.get("parameters") or {}
    named = {name: _typed(value) for name, value in payload.parameters.items() if name not in given}
    if named:
        data["parameters"] = {**named, **given}
    return Call([{"request_json": json.dumps(data), "body": file}], {}, decode)


def decode(answers: Sequence[Answer], profile: Profile) -> Json:  # noqa: ARG001
    """What the code gave: JSON, or a file with its type; an image is a file only for who asks for one."""
    response, kind = bytes(answers[0]["response"][0]), answers[0]["content_type"][0].decode()
    if kind.startswith(OF):
        text = json.loads(response)
        image = content(text, "the response")
        assert isinstance(image, bytes)  # noqa: S101 (base64 is no link)
        return MediaAnswer(image, kind.removeprefix(OF), text, prefers_json=True)
    if kind == JSON:  # it goes out as it came: its numbers may be larger than other writers of JSON take
        return MediaAnswer(response, JSON, json.loads(response))
    return MediaAnswer(response, kind, base64_of(response))


def _typed(value: Any) -> Any:
    """A value of a URL's query, as the JSON literal that it may be."""
    return [_typed(item) for item in value] if isinstance(value, list) else literal(value)


CUSTOM = TaskSpec(
    name="custom",
    summary="Calls the model's own code: the EndpointHandler of its handler.py.",
    variants={
        Library.CUSTOM: Variant(
            "custom.py.jinja",
            (
                TensorSpec("response", DataType.BYTES, (1,), "the body of the response"),
                TensorSpec("content_type", DataType.BYTES, (1,), "its media type, such as application/json"),
            ),
            ("pillow>=11",),
        )
    },
    library=Library.CUSTOM,
    needs=(Need(("handler.py", "pipeline.py"), "it has no handler.py, and no pipeline.py either"),),
    inputs=(
        TensorSpec("request_json", DataType.BYTES, (1,), "the JSON object that the model's code is called with"),
        TensorSpec("body", DataType.BYTES, (1,), "in place of its inputs: a file; empty where there is none"),
    ),
    parameters=(),
    encode=encode,
    schema=schema.Schema(schema.ANY, schema.ANY, closed=False, response_media=("*/*",)),
    root_forms=((),),  # no key is required
    example={"inputs": "Hello"},
    max_batch_size=1,  # the code takes one request at a time
    settings=(Setting("max_image_pixels", "50000000", "The most pixels of an image that a request may send."),),
    media=Media.ANY,
)

SPECS = (CUSTOM,)

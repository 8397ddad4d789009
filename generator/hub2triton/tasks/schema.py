"""What bodies look like, as JSON Schema (2020-12, that of OpenAPI 3.1): building blocks, and the schemas of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub2triton.tasks.parameter import ParameterSpec
    from hub2triton.tasks.spec import TaskSpec

JsonSchema = Mapping[str, Any]


@dataclass(frozen=True)
class Schema:
    """What the bodies of a task hold; the rest of them follows from its TaskSpec.

    Attributes:
        inputs: Of `inputs`, in all its forms.
        response: Of the answer to callers of the profile TOOLKIT, in all its forms.
        parameters: Of what `parameters` may hold besides the task's ParameterSpecs; of those it replaces one of the
            same name.
        closed: Whether other names in `parameters` are refused.
        response_media: What the answer may be instead of JSON: media types, or ranges of them such as image/*.
    """

    inputs: JsonSchema
    response: JsonSchema
    parameters: Mapping[str, JsonSchema] = field(default_factory=dict)
    closed: bool = True
    response_media: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """A body that is sent and the one that comes back.

    Attributes:
        request: Of the whole body.
        response: Of the answer.
        example: A body that works with every model that takes it.
        response_media: As of a Schema.
    """

    request: JsonSchema
    response: JsonSchema
    example: Mapping[str, Any]
    response_media: tuple[str, ...] = ()


ANY: JsonSchema = {}
TEXT: JsonSchema = {"type": "string"}
NUMBER: JsonSchema = {"type": "number"}
INTEGER: JsonSchema = {"type": "integer"}
FLAG: JsonSchema = {"type": ["boolean", "null"]}
FILE: JsonSchema = {
    "type": "string",
    "format": "byte",  # what OpenAPI 3.0 called base64; many programs know no other name
    "contentEncoding": "base64",
    "description": "A file's bytes in base64 or a data URL; or its address, where the server follows it.",
}


def array(items: JsonSchema, least: int = 0, most: int | None = None) -> JsonSchema:
    """A list."""
    sizes = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **sizes, **({} if most is None else {"maxItems": most})}


def record(
    needed: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema] | None = None, *, closed: bool = False
) -> JsonSchema:
    """An object.

    Args:
        needed: Its keys that must be there.
        optional: Those that may be.
        closed: Whether there must be no other ones.
    """
    found: dict[str, Any] = {"type": "object", "properties": {**needed, **(optional or {})}}
    if needed:
        found["required"] = list(needed)
    return {**found, "additionalProperties": False} if closed else found


def either(*schemas: JsonSchema) -> JsonSchema:
    """Any of these forms."""
    return {"anyOf": list(schemas)}


def one_or_list(item: JsonSchema, least: int = 0) -> JsonSchema:
    """Something, or a list of such."""
    return either(item, array(item, least))


def items(item: JsonSchema) -> JsonSchema:
    """Inputs as `reading.items` takes them: one item, or a list of at least one."""
    return one_or_list(item, least=1)


TEXTS = items(TEXT)
VECTOR = array(NUMBER)
LABELS = array(record({"label": TEXT, "score": NUMBER}))
SCORED_TEXT = record({"label": TEXT, "score": NUMBER})
SIMILARITY = record({"source_sentence": TEXT, "sentences": either(TEXT, array(TEXT))})
ROLE: JsonSchema = {"type": "string", "examples": ["system", "user", "assistant", "tool"]}
PART = either(TEXT, record({"type": TEXT, "text": TEXT}))
MESSAGE = either(
    record({"role": ROLE, "content": either(TEXT, array(PART))}, {"tool_calls": array({"type": "object"})}),
    record({"role": ROLE, "tool_calls": array({"type": "object"}, least=1)}, {"content": {"type": "null"}}),
)
CHAT = array(MESSAGE, least=1)
FILES = either(
    FILE,
    array(either(FILE, record({"image": FILE}, closed=True)), least=1),
    record({"image": items(FILE)}),  # parameters may stand beside it
)
"""Images, as `vision.beside_image` takes them."""


def generated(key: str, text: JsonSchema = TEXT) -> JsonSchema:
    """The texts that were generated for one input, under their key; with details where they are asked for."""
    return array(record({key: text}, {"details": {"type": "object"}}))


def parameter(spec: ParameterSpec) -> JsonSchema:
    """The schema of a parameter; null is the same as none, but for those that say otherwise."""
    types: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}
    found: dict[str, Any]
    if spec.type is list and spec.objects:
        found = {"type": ["array", "null"], "items": {"type": "object"}}
    elif spec.type is list:
        found = {"type": ["array", "string", "null"], "items": TEXT}
    elif spec.choices and spec.type is str:
        found = {"enum": [*spec.choices, None]}
    elif spec.choices:
        found = {"anyOf": [{"type": [types[spec.type], "null"]}, {"enum": list(spec.choices)}]}
    else:
        found = {"type": [types[spec.type], "null"]}
    if spec.minimum is not None:
        found["minimum"] = spec.minimum
    return {**found, "description": spec.description}


def parameters(specs: Iterable[ParameterSpec]) -> dict[str, JsonSchema]:
    """The schemas of parameters by their names."""
    return {spec.name: parameter(spec) for spec in specs}


def exchange(spec: TaskSpec) -> Exchange:
    """What goes over the routes of a task's models."""
    named = {**parameters(spec.parameters), **spec.schema.parameters}
    form = {"description": "Names in camelCase are understood too.", "additionalProperties": not spec.schema.closed}
    properties: dict[str, JsonSchema] = {
        "inputs": spec.schema.inputs,
        "parameters": {"type": ["object", "null"], "properties": named, **form},
    }
    forms = [("inputs",), *spec.root_forms]
    for key in (key for keys in spec.root_forms for key in keys):
        properties.setdefault(key, _property(spec.schema.inputs, key))
    request: dict[str, Any] = {"type": "object", "properties": properties}
    if len(forms) == 1:
        request["required"] = ["inputs"]
    elif all(forms):  # the empty form requires nothing
        request["anyOf"] = [{"required": list(keys)} for keys in forms]
    return Exchange(request, spec.schema.response, spec.example, spec.schema.response_media)


def _property(inputs: JsonSchema, key: str) -> JsonSchema:
    """What stands under a key where the inputs are an object; at the root of a body it means the same."""
    found = inputs.get("properties", {}).get(key)
    others = (_property(form, key) for form in inputs.get("anyOf", ()))
    return found or next((other for other in others if other), ANY)

"""Requests made up from the OpenAPI document, right ones and wrong ones, and what must hold for every answer."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.media import IMAGE_FILES, SOUND_FILES, image_file, photo, sound_file, tone

from hub2triton import tasks
from hub2triton.tasks.media import base64_of
from hub2triton.tasks.spec import Media

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from schemathesis import Case
    from schemathesis.specs.openapi.schemas import OpenApiSchema

PATHS = [f"/models/{name}" for name in tasks.names()] + tasks.endpoints()
"""What is posted to where there is a model of each task, named as the task."""

MEDIA = {f"/models/{spec.name}": spec.media for spec in tasks.SPECS}

MOST: Mapping[str, int] = {
    "max_new_tokens": 8,
    "max_tokens": 8,
    "min_new_tokens": 8,
    "max_length": 40,
    "min_length": 8,
    "num_beams": 3,
    "num_return_sequences": 3,
    "n": 3,
    "best_of": 3,
    "num_inference_steps": 2,
    "num_images_per_prompt": 2,
    "height": 64,
    "width": 64,
}
"""What makes an answer take long, and how much of it a request may ask for here."""

USUAL: Mapping[str, Any] = {
    "max_new_tokens": 4,
    "num_inference_steps": 1,
    "height": 32,
    "width": 32,
    "candidate_labels": ["red", "a bird"],
    "question": "Who is [MASK]?",
}
"""Parameters that a request gets that does not have them, where the route knows the name: it would take long without
them, or be refused too often.
"""

GOOD_TEXTS = ("The red bird is [MASK].", "Who is [MASK]?", "Zo\u00eb \U0001f642\nsaw the [MASK] of 3 birds")
ODD_TEXTS = ("a", "", " ", "\u0000", "word " * 2000)
TEXT = {"type": "string"}
ROW = {"type": "object", "properties": {"bird": TEXT, "3": TEXT}, "required": ["bird", "3"]}
SAMPLES = [0.0, 0.25, 0.5, -0.25] * 200

NARROW: Mapping[str, Mapping[str, Any]] = {
    "array": {"enum": [SAMPLES]},
    "candidate_labels": {"type": "array", "items": TEXT, "minItems": 1},
    "dimensions": {"minimum": 1, "maximum": 32},
    "encoder_no_repeat_ngram_size": {"maximum": 9},
    "encoder_repetition_penalty": {"minimum": 0.5, "maximum": 2},
    "frequency_penalty": {"minimum": -2, "maximum": 2},
    "hypothesis_template": {"enum": ["This is {}.", "{}"]},
    "logprobs": {"enum": [False, None]},
    "min_p": {"minimum": 0, "maximum": 1},
    "no_repeat_ngram_size": {"maximum": 9},
    "raw": {"enum": [SAMPLES]},
    "repetition_penalty": {"minimum": 0.5, "maximum": 2},
    "stride": {"maximum": 8},
    "subtask": {"enum": ["semantic"]},
    "table": {"anyOf": [{"type": "array", "items": ROW, "minItems": 1}, {"enum": [{"bird": ["a"], "3": ["4"]}]}]},
    "temperature": {"minimum": 0.1, "maximum": 2},
    "task": {"enum": ["transcribe"]},
    "tool_choice": {"enum": ["auto", "none"]},
    "top_n_tokens": {"maximum": 5},
    "truncation_direction": {"enum": ["left", "right"]},
    "type": {"enum": ["text"]},
}
"""What right requests hold under a name, where the document cannot tell (or does not) all that these models refuse."""

ABSENT = ("language", "prompt_name", "return_language")
"""What right requests do not hold: some of these models know it, and others refuse it."""

REQUEST = ("requestBody", "parameters")
"""What an operation of the document says of requests."""

EXAMPLES = settings(
    deadline=None,
    database=None,
    derandomize=True,  # the same requests in every run
    phases=(Phase.generate,),  # a failure is told as it was found: to make it smaller takes many more requests
    suppress_health_check=list(HealthCheck),
)


def read(document: dict[str, Any], without: tuple[str, ...] = ()) -> OpenApiSchema:
    """The document, with its requests drawn closer to what models answer, and its texts and files marked as such.

    Args:
        document: As the server tells it.
        without: Models that are not asked by routes which others answer too.
    """
    made_up = st.text(max_size=50)
    texts = st.sampled_from([*map(st.just, (GOOD_TEXTS * 20 + ODD_TEXTS)), made_up])  # an odd one spoils a whole list
    schemathesis.openapi.format("text", texts.flatmap(lambda text: text))
    schemas = {
        name: _marked(form, without) if name.endswith("-request") else form
        for name, form in document["components"]["schemas"].items()
    }
    paths = copy.deepcopy(document["paths"])
    for operation in (each for operations in paths.values() for each in operations.values()):
        operation |= {
            key: _marked(operation[key], without) for key in ("requestBody", "parameters") if key in operation
        }
    components = {**document["components"], "schemas": schemas}
    return schemathesis.openapi.from_dict({**document, "paths": paths, "components": components})


def run(schema: OpenApiSchema, path: str, client: httpx.Client, examples: int) -> int:
    """Sends requests to an operation.

    Args:
        schema: What `read` gave.
        path: Of the operation; what is posted to is meant.
        client: Sends the requests; raises where no answer comes in time.
        examples: How many right ones are sent, and how many wrong ones.

    Returns:
        How many of the right ones were answered with 200.
    """
    _take_files(MEDIA.get(path))
    right, _ = (_statuses(schema[path]["POST"], mode, client, examples) for mode in GenerationMode)
    return right.count(200)


def wrong(schema: OpenApiSchema, path: str, client: httpx.Client, count: int, number: int) -> list[httpx.Request]:
    """Wrong requests to an operation, not sent; the same ones for the same number.

    Args:
        schema: What `read` gave.
        path: Of the operation.
        client: As which they are made.
        count: How many, at most.
        number: The seed of what is drawn.
    """
    _take_files(MEDIA.get(path))
    found: list[httpx.Request] = []

    def keep(case: Case[Any]) -> None:
        found.append(request(case, client))

    strategy = schema[path]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE)
    seed(number)(settings(EXAMPLES, max_examples=count, derandomize=False)(given(strategy)(keep)))()
    return found


def _statuses(operation: Any, mode: GenerationMode, client: httpx.Client, examples: int) -> list[int]:
    found = []

    def ask(case: Case[Any]) -> None:
        response = client.send(request(case, client))
        found.append(response.status_code)
        case.validate_response(response, checks=[schemathesis.checks.not_a_server_error])
        assert response.status_code < 500, response.text
        if response.status_code != 200:
            assert response.headers["content-type"] == "application/json", response.headers
            assert response.json()["error"]

    settings(EXAMPLES, max_examples=examples)(given(operation.as_strategy(generation_mode=mode))(ask))()
    return found


def request(case: Case[Any], client: httpx.Client) -> httpx.Request:
    """A made-up request as that client sends it, kept from asking for what takes long."""
    made = _short(case).as_transport_kwargs(base_url=str(client.base_url))
    body = {"json": made["json"]} if "json" in made else {"content": made.get("data")}
    return client.build_request(
        made["method"], made["url"], headers=dict(made["headers"]), params=made.get("params"), **body
    )


def files(media: Media | None) -> list[bytes]:
    """Files of all kinds that a task reads: pictures, sounds, or (for one that takes any, or none) both."""
    pictures = [image_file(photo(), kind) for kind in IMAGE_FILES]
    sounds = [sound_file(tone(0.5), kind=kind) for kind in SOUND_FILES]
    return {None: [*pictures, *sounds], Media.ANY: [*pictures, *sounds], Media.IMAGE: pictures, Media.AUDIO: sounds}[
        media
    ]


def _take_files(media: Media | None) -> None:
    """Has files made up for a task: most are whole and of a kind that it reads."""
    whole = files(media) * 2
    broken = [file[: len(file) // 2] for file in whole[:2]]
    told = [base64_of(file) for file in (*whole, *broken)]
    schemathesis.openapi.format("byte", st.sampled_from([*told, "", "####", "data:,", "http://localhost/x"]))
    for media_type in Media.ANY.types:
        schemathesis.openapi.media_type(media_type, st.sampled_from([*whole, *broken, b"\0", b"[1", b"\xff\xfe"]))


def _marked(part: Any, without: tuple[str, ...]) -> Any:
    """What a string may be: one of its examples where there are any, else a text. Objects hold what is named only."""
    if isinstance(part, list):
        return [_marked(item, without) for item in part if not (isinstance(item, dict) and item.get("name") in ABSENT)]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("properties"), dict):
        forms = {name: form for name, form in part["properties"].items() if name not in ABSENT}
        named = {name: {**form, **NARROW.get(name, {})} for name, form in forms.items()}
        part = {"additionalProperties": False, **part, "properties": named}
    if part.get("in") == "query":
        part = {**part, "schema": {**part["schema"], **NARROW.get(part["name"], {})}}
    found = {key: value if key in ("example", "enum") else _marked(value, without) for key, value in part.items()}
    if part.get("type") == "string" and "examples" in part:
        found["enum"] = [example for example in part["examples"] if example not in without]
    elif part.get("type") == "string" and not {"format", "enum"} & part.keys():
        found["format"] = "text"
    return found


def _short(case: Case[Any]) -> Case[Any]:
    body: dict[str, Any] = case.body if isinstance(case.body, dict) else {}
    for place in (body, body.get("parameters"), body.get("inputs"), case.query):
        for name, most in MOST.items():
            if isinstance(place, dict) and isinstance(place.get(name), int | float) and place[name] > most:
                place[name] = most
    usual = {name: value for name, value in USUAL.items() if name in parameters(case.path)}
    if not isinstance(case.body, dict):
        case.query = {**usual, **(case.query or {})}
    elif "inputs" not in body:
        body |= {**usual, **body}
    elif isinstance(body.get("parameters", {}), dict | None):
        body["parameters"] = {**usual, **(body.get("parameters") or {})}
    return case


def parameters(path: str) -> set[str]:
    """The names of the parameters that a route takes."""
    spec = tasks.find(path.removeprefix("/models/"))
    if spec is not None:
        return {parameter.name for parameter in spec.parameters} | spec.schema.parameters.keys()
    endpoints = [spec.endpoint(path) for spec in tasks.SPECS]
    forms = [form for one in endpoints if one for form in one.schema.request.get("anyOf", [one.schema.request])]
    return {name for form in forms for name in form["properties"]}

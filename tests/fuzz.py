"""Requests made up from the OpenAPI document, right ones and wrong ones, and what must hold for every answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from hub2triton import tasks
from hub2triton.tasks.sample import picture, sound

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from schemathesis import Case
    from schemathesis.specs.openapi.schemas import OpenApiSchema

PATHS = [f"/models/{name}" for name in tasks.names()] + tasks.endpoints()
"""What is posted to where there is a model of each task, named as the task."""

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
}
"""Parameters that a request gets that does not have them, where the task knows the name: it would take long without
them, or be refused too often.
"""

TEXTS = st.sampled_from(
    ["The red bird is [MASK].", "a", "Zo\u00eb \U0001f642\nsaw it", "", " ", "\u0000", "word " * 2000]
)
WHOLE = [picture(), sound()] * 3  # more often than what is broken
FILES = st.sampled_from([*WHOLE, picture()[:80], sound()[:80], "", "####", "data:,", "http://localhost/x"])
BYTES = st.sampled_from([base64.b64decode(file) for file in (*WHOLE, picture()[:80], sound()[:80])])

EXAMPLES = settings(
    deadline=None,
    database=None,
    derandomize=True,  # the same requests in every run
    phases=(Phase.generate,),  # a failure is told as it was found: to make it smaller takes many more requests
    suppress_health_check=list(HealthCheck),
)


def read(document: dict[str, Any], without: tuple[str, ...] = ()) -> OpenApiSchema:
    """The document, with strings in it that are meant to be texts and files made as such.

    Args:
        document: As the server tells it.
        without: Models that are not asked by routes which others answer too.
    """
    schemathesis.openapi.format("text", TEXTS | st.text(max_size=50))
    schemathesis.openapi.format("byte", FILES)
    for media_type in ("image/png", "audio/wav", "application/octet-stream"):
        schemathesis.openapi.media_type(media_type, BYTES | st.binary(min_size=1, max_size=50))
    return schemathesis.openapi.from_dict(_marked(document, without))


def run(schema: OpenApiSchema, path: str, client: httpx.Client, examples: int) -> int:
    """Sends requests to an operation.

    Args:
        schema: What `read` gave.
        path: Of the operation; what is posted to is meant.
        client: Sends the requests; raises where no answer comes in time.
        examples: How many right ones are sent, and how many wrong ones.

    Returns:
        How many of them were answered with 200.
    """
    operation = schema[path]["POST"]
    answered = 0

    def ask(case: Case) -> None:
        nonlocal answered
        response = client.send(_request(_short(case), client))
        answered += response.status_code == 200
        case.validate_response(response, checks=[schemathesis.checks.not_a_server_error])
        assert response.status_code < 500, response.text
        if response.status_code != 200:
            assert response.headers["content-type"] == "application/json", response.headers
            assert response.json()["error"]

    for mode in GenerationMode:
        strategy = operation.as_strategy(generation_mode=mode)
        settings(EXAMPLES, max_examples=examples)(given(strategy)(ask))()
    return answered


def _request(case: Case, client: httpx.Client) -> httpx.Request:
    """The request as that client sends it."""
    made = case.as_transport_kwargs(base_url=str(client.base_url))
    body = {"json": made["json"]} if "json" in made else {"content": made.get("data")}
    return client.build_request(
        made["method"], made["url"], headers=dict(made["headers"]), params=made.get("params"), **body
    )


def _marked(part: Any, without: tuple[str, ...]) -> Any:
    """What a string may be: one of its examples where there are any, else a text."""
    if isinstance(part, list):
        return [_marked(item, without) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: value if key == "example" else _marked(value, without) for key, value in part.items()}
    if part.get("type") == "string" and "examples" in part:
        found["enum"] = [example for example in part["examples"] if example not in without]
    elif part.get("type") == "string" and "format" not in part:
        found["format"] = "text"
    return found


def _short(case: Case) -> Case:
    """The request, kept from asking for what takes long."""
    body = case.body if isinstance(case.body, dict) else {}
    places = [body, body.get("parameters"), body.get("inputs"), case.query]
    for place in places:
        for name, most in MOST.items():
            if isinstance(place, dict) and isinstance(place.get(name), int | float) and place[name] > most:
                place[name] = most
    known = json.dumps(case.operation.definition.raw)
    usual = {name: value for name, value in USUAL.items() if f'"{name}"' in known}
    if "inputs" not in body:
        body |= {**usual, **body}
    elif isinstance(body.get("parameters", {}), dict | None):
        body["parameters"] = {**usual, **(body.get("parameters") or {})}
    return case

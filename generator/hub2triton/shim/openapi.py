"""The OpenAPI document of a server: its routes, and what the models that it serves take and answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub2triton import __version__
from hub2triton.shim.model import State
from hub2triton.tasks import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hub2triton.shim.model import Model
    from hub2triton.tasks.schema import JsonSchema
    from hub2triton.tasks.spec import Endpoint, TaskSpec

    Part = dict[str, Any]

PAGE = Path(__file__).with_name("docs.html")
"""A page that reads the document and sends requests; it needs nothing from elsewhere."""

JSON = "application/json"
PLAIN = "text/plain"
ERRORS = {
    400: "The request cannot be answered; the error says what to change.",
    404: "There is no such model.",
    413: "The request is too large.",
    415: "The body is of a kind that is not taken.",
    429: "The model's queue is full.",
    500: "The model failed.",
    503: "The model is being loaded.",
    504: "The request waited too long.",
}
LATER = (429, 503)
"""Errors that tell when to come again."""

KEY = "key"

ERROR = schema.record({"error": schema.TEXT}, {"error_type": schema.TEXT})
OPENAI_ERROR = schema.record(
    {
        "error": schema.record({"message": schema.TEXT, "type": schema.TEXT, "code": schema.INTEGER}),
        "message": schema.TEXT,
    }
)
"""The form of errors below /v1/."""

BYTES: JsonSchema = {"type": "string", "format": "binary"}


def document(models: Iterable[Model], *, keys: bool = False) -> Part:
    """The document, an OpenAPI 3.1 object.

    Args:
        models: Those that are ready are described.
        keys: Whether the server asks for an API key.
    """
    ready = [(model, model.spec) for model in models if model.spec is not None and model.state is State.READY]
    specs = {spec.name: spec for _, spec in ready}
    paths = {
        "/health": _get("health", "200 while a model can be asked.", PLAIN, schema.TEXT),
        "/info": _get("info", "The models: task, Hub id, commit, state.", JSON, {"type": "object"}),
        "/metrics": _get("metrics", "Figures for Prometheus.", PLAIN, schema.TEXT),
        "/v1/models": _get("models", "The models, as OpenAI's clients list them.", JSON, {"type": "object"}),
    }
    if len(ready) == 1:
        paths["/"] = {"post": _ask(*ready[0], "ask")}
    paths |= {f"/models/{model.name}": {"post": _ask(model, spec, f"ask-{model.name}")} for model, spec in ready}
    for path, endpoint in sorted({one.path: one for spec in specs.values() for one in spec.endpoints}.items()):
        names = [model.name for model, spec in ready if spec.endpoint(path) is not None]
        paths[path] = {"post": _endpoint(endpoint, names)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hub2triton",
            "version": __version__,
            "description": "Models of the Hugging Face Hub, served by Triton Inference Server.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(specs),
            "responses": _errors("error", ERROR) | _errors("v1", OPENAI_ERROR),
            **({"securitySchemes": {KEY: {"type": "http", "scheme": "bearer"}}} if keys else {}),
        },
        **({"security": [{KEY: []}]} if keys else {}),
    }


def _schemas(specs: Mapping[str, TaskSpec]) -> Mapping[str, JsonSchema]:
    found = {"error": ERROR, "v1-error": OPENAI_ERROR}
    for name, spec in sorted(specs.items()):
        exchange = schema.exchange(spec)
        found |= {f"{name}-request": exchange.request, f"{name}-response": exchange.response}
    return found


def _errors(prefix: str, form: JsonSchema) -> Part:
    wait = {"Retry-After": {"description": "Seconds after which to ask again.", "schema": schema.INTEGER}}
    return {
        f"{prefix}-{status}": {
            "description": text,
            "content": {JSON: {"schema": form}},
            **({"headers": wait} if status in LATER else {}),
        }
        for status, text in ERRORS.items()
    }


def _get(name: str, summary: str, media_type: str, form: JsonSchema) -> Part:
    refusals = {str(status): _reference("responses", f"error-{status}") for status in (500, 503)}
    responses = {"200": _answer(form, (media_type,)), **refusals}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _ask(model: Model, spec: TaskSpec, operation: str) -> Part:
    """A model's own route."""
    exchange = schema.exchange(spec)
    body = {JSON: {"schema": _reference("schemas", f"{spec.name}-request"), "example": exchange.example}}
    query: list[Part] = []
    if spec.media is not None:
        body |= {media_type: {"schema": BYTES} for media_type in spec.media.types}
        query = list(_query(exchange.request["properties"]["parameters"]["properties"]))
    answer = _answer(_reference("schemas", f"{spec.name}-response"), (JSON, *exchange.response_media))
    return {
        "operationId": operation,
        "summary": f"{model.name}: {spec.name}",
        "description": f"{spec.summary} The model is {model.model_id or model.name}.",
        **({"parameters": query} if query else {}),
        "requestBody": {"required": True, "content": body},
        "responses": _responses(answer, "error"),
    }


def _endpoint(endpoint: Endpoint, names: Sequence[str]) -> Part:
    """A route of another protocol; where several models answer it, the key `model` says which is meant."""
    exchange = endpoint.schema
    several = len(names) > 1
    forms = [_with_model(form, names, needed=several) for form in exchange.request.get("anyOf", [exchange.request])]
    example = {**({"model": names[0]} if several else {}), **exchange.example}
    body = {JSON: {"schema": forms[0] if len(forms) == 1 else {"anyOf": forms}, "example": example}}
    prefix = "v1" if endpoint.path.startswith("/v1/") else "error"
    return {
        "operationId": endpoint.path.strip("/").replace("/", "-"),
        "summary": endpoint.summary,
        "description": f"Answered by {', '.join(names)}.",
        "requestBody": {"required": True, "content": body},
        "responses": _responses(_answer(exchange.response, (JSON, *exchange.response_media)), prefix),
    }


def _with_model(form: JsonSchema, names: Sequence[str], *, needed: bool) -> Part:
    model = {**schema.TEXT, "description": "The name of the model that is asked.", "examples": list(names)}
    required = [*(["model"] if needed else []), *form.get("required", ())]
    return {**form, "properties": {**form["properties"], "model": model}, "required": required}


def _query(parameters: Mapping[str, JsonSchema]) -> Iterator[Part]:
    """What may stand in the URL where the body is a file: parameters but those that are objects."""
    for name, form in parameters.items():
        kept = _without_null(form)
        if kept.get("type") != "object" and kept.get("items", {}).get("type") != "object":
            yield {"name": name, "in": "query", "description": form.get("description", ""), "schema": kept}


def _without_null(form: JsonSchema) -> JsonSchema:
    """A schema without null: nothing in a URL is the same as leaving the name out."""
    kept = {key: value for key, value in form.items() if key != "description"}
    if isinstance(form.get("type"), list):
        types = [name for name in form["type"] if name != "null"]
        kept["type"] = types[0] if len(types) == 1 else types
    if "enum" in form:
        kept["enum"] = [value for value in form["enum"] if value is not None]
    if "anyOf" in form:
        kept["anyOf"] = [_without_null(one) for one in form["anyOf"]]
    return kept


def _responses(answer: Part, prefix: str) -> Part:
    return {"200": answer, **{str(status): _reference("responses", f"{prefix}-{status}") for status in ERRORS}}


def _answer(form: JsonSchema, media_types: Iterable[str]) -> Part:
    content = {media_type: {"schema": form if media_type in (JSON, PLAIN) else BYTES} for media_type in media_types}
    return {"description": "The answer.", "content": content}


def _reference(kind: str, name: str) -> Part:
    return {"$ref": f"#/components/{kind}/{name}"}

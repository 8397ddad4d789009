"""The OpenAPI document and the page that is made of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import schemathesis
from starlette.testclient import TestClient

from hub2triton import __version__, tasks
from hub2triton.shim import app, openapi
from hub2triton.shim.model import Model, State
from hub2triton.tasks.spec import Media

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OF_ALL_TASKS = [Model(spec.name, State.READY, spec=spec, model_id=f"acme/{spec.name}") for spec in tasks.SPECS]
OPEN = ("/health", "/info", "/metrics", "/v1/models")


def models(*names: str) -> list[Model]:
    return [model for model in OF_ALL_TASKS if model.name in names]


def document(served: Iterable[Model]) -> dict[str, Any]:
    """The document as callers get it."""
    found: dict[str, Any] = json.loads(json.dumps(openapi.document(served)))
    return found


def inlined(document: Mapping[str, Any], part: Any) -> Any:
    """A part of the document, with what it refers to in place of the references."""
    if isinstance(part, list):
        return [inlined(document, item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found: Any = document
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return inlined(document, found)
    return {key: inlined(document, value) for key, value in part.items()}


def request_schema(document: Mapping[str, Any], path: str) -> Any:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return inlined(document, content["application/json"]["schema"])


def test_all_tasks_are_in_it() -> None:
    found = document(OF_ALL_TASKS)
    assert found["openapi"].startswith("3.1.")
    assert found["info"]["version"] == __version__
    posted = {path for path, methods in found["paths"].items() if "post" in methods}
    assert posted == {f"/models/{name}" for name in tasks.names()} | set(tasks.endpoints())
    assert found["paths"].keys() - posted == set(OPEN)


def test_another_reader_understands_it() -> None:
    found = schemathesis.openapi.from_dict(document(OF_ALL_TASKS))
    operations = [result.ok() for result in found.get_all_operations()]
    assert len(operations) == len(tasks.SPECS) + len(tasks.endpoints()) + len(OPEN)
    assert found.statistic.operations.total == len(operations)


def test_operations_have_names_of_their_own() -> None:
    for served in (OF_ALL_TASKS, OF_ALL_TASKS[:1]):
        found = [one for methods in document(served)["paths"].values() for one in methods.values()]
        assert len({operation["operationId"] for operation in found}) == len(found)
        assert all(operation["summary"] for operation in found)


def test_every_reference_leads_somewhere() -> None:
    found = document(OF_ALL_TASKS)
    assert "$ref" not in json.dumps(inlined(found, found))


@pytest.mark.parametrize("path", [f"/models/{name}" for name in tasks.names()] + tasks.endpoints())
def test_examples_fit(path: str) -> None:
    found = document(OF_ALL_TASKS)
    example = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    jsonschema_rs.Draft202012Validator(request_schema(found, path)).validate(example)


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_files_are_taken_and_parameters_with_them_where_the_task_does(spec: Any) -> None:
    operation = document(OF_ALL_TASKS)["paths"][f"/models/{spec.name}"]["post"]
    types = set(operation["requestBody"]["content"]) - {"application/json"}
    files = {
        Media.IMAGE: {"image/*", "application/octet-stream"},
        Media.AUDIO: {"audio/*", "application/octet-stream"},
        Media.ANY: {"image/*", "audio/*", "application/octet-stream"},
    }
    assert types == files.get(spec.media, set())
    named = {parameter["name"] for parameter in operation.get("parameters", ())}
    plain = {parameter.name for parameter in spec.parameters if parameter.type is not dict and not parameter.objects}
    assert named >= (plain if spec.media else set())
    assert not named or spec.media
    assert all("null" not in json.dumps(parameter["schema"]) for parameter in operation.get("parameters", ()))


def test_errors_have_the_form_of_their_route() -> None:
    found = document(OF_ALL_TASKS)
    for path, key in (("/models/custom", "error_type"), ("/embed", "error_type"), ("/v1/embeddings", "message")):
        responses = inlined(found, found["paths"][path]["post"]["responses"])
        assert set(responses) == {"200", "400", "404", "413", "415", "429", "500", "503", "504"}
        for status, response in responses.items():
            if status != "200":
                assert key in response["content"]["application/json"]["schema"]["properties"]
        assert "Retry-After" in responses["429"]["headers"]


def test_an_answer_may_be_a_file() -> None:
    found = document(OF_ALL_TASKS)
    for path, kind in (("/models/text-to-image", "image/*"), ("/v1/chat/completions", "text/event-stream")):
        content = found["paths"][path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", kind}


def test_one_model_is_asked_at_the_root_too_and_needs_no_name() -> None:
    found = document(models("sentence-embeddings"))
    assert (
        found["paths"]["/"]["post"]["requestBody"]
        == found["paths"]["/models/sentence-embeddings"]["post"]["requestBody"]
    )
    assert "model" not in request_schema(found, "/v1/embeddings")["required"]
    assert "/v1/completions" not in found["paths"]
    assert set(found["components"]["schemas"]) == {
        "error",
        "v1-error",
        "sentence-embeddings-request",
        "sentence-embeddings-response",
    }


def test_of_several_models_one_must_be_named() -> None:
    found = document(models("sentence-embeddings", "feature-extraction"))
    assert "/" not in found["paths"]
    schema = request_schema(found, "/v1/embeddings")
    assert set(schema["properties"]["model"]["examples"]) == {"sentence-embeddings", "feature-extraction"}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert not validator.is_valid({"input": "a"})
    assert validator.is_valid({"input": "a", "model": "any"})


def test_what_cannot_be_asked_is_left_out() -> None:
    loading = Model("later", State.LOADING, spec=tasks.SPECS[0])
    assert set(document([loading, Model("never", State.FAILED)])["paths"]) == set(OPEN)


@dataclass
class Served:
    """A Triton with a few models."""

    served: list[Model] = field(default_factory=lambda: models("image-classification", "text-generation"))

    async def models(self, _known: Mapping[str, Model], *, fresh: bool) -> dict[str, Model]:
        return {model.name: model for model in self.served}

    async def close(self) -> None:
        pass


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(app, "Triton", lambda *_: Served())
    with TestClient(app.create(app.Settings(triton="localhost:1"))) as client:
        yield client


def test_the_server_tells_what_it_serves(http: TestClient) -> None:
    response = http.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == document(Served().served)


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_needs_nothing_from_elsewhere(http: TestClient) -> None:
    response = http.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    tags = Tags()
    tags.feed(page)
    assert {tag for tag, _ in tags.found} >= {"html", "title", "script", "style", "main"}
    for _, attributes in tags.found:
        assert not attributes.get("src")
        assert attributes.get("href") in (None, "data:,", "openapi.json")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert "openapi.json" in page

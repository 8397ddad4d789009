"""The shim over HTTP, with a stand-in for Triton: bodies, limits, forms of answers, and errors."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from hub2triton import __version__, tasks
from hub2triton.shim import app, attempts, catalogue, tensors, transport
from hub2triton.shim.failure import Failure, ModelFailed, NotReady, Overloaded
from hub2triton.shim.model import Model, State
from hub2triton.tasks.spec import Library
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hub2triton.tasks.spec import Answer, Call

SPEC = tasks.find("sentence-embeddings")
assert SPEC is not None
READY = Model(
    "m",
    State.READY,
    spec=SPEC,
    model_id="acme/tiny",
    revision="f00",
    dtype="auto",
    inputs=(*SPEC.inputs, PARAMETERS),
    outputs=SPEC.variants[Library.SENTENCE_TRANSFORMERS].outputs,
    max_batch_size=32,
    max_text_length=10,
)
SETTINGS = app.Settings(
    triton="localhost:1", max_body_bytes=1000, max_rows=3, predict_routes=("/mine",), health_routes=("/alive",)
)


@dataclass
class StandIn:
    """A Triton whose models embed a text as its length."""

    served: list[Model] = field(default_factory=lambda: [READY])
    failure: Exception | None = None
    failures: int = 10**9
    waits: bool = False
    cancelled: bool = False
    calls: list[Call] = field(default_factory=list)
    closed: bool = False
    full: bool = False

    async def models(self, _known: Mapping[str, Model], *, fresh: bool) -> dict[str, Model]:
        return {model.name: model for model in self.served}

    def admit(self, _model: Model) -> None:
        if self.full:
            raise Overloaded("full")

    async def infer(self, _model: Model, call: Call) -> list[Answer]:
        self.calls.append(call)
        if self.failure and self.failures:
            self.failures -= 1
            raise self.failure
        if self.waits:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return [{"embedding": np.float32([len(row["text"])]), "token_count": np.int32([1])} for row in call.rows]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(app, "Triton", lambda *_: stand_in)
    monkeypatch.setattr(catalogue, "HOLD_S", 0.05)
    return stand_in


@pytest.fixture
def http(triton: StandIn) -> Iterator[TestClient]:
    with TestClient(app.create(SETTINGS), raise_server_exceptions=False) as client:
        yield client


def body_of(size: int) -> bytes:
    """A correct request of so many bytes."""
    body = b'{"inputs": "x"}'
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/predict",
        "/invocations",
        "/models/m",
        "/models/acme/tiny",
        "/pipeline/sentence-embeddings",
        "/models/acme/tiny/pipeline/feature-extraction",
        "/mine",
    ],
)
def test_a_payload_is_answered(path: str, http: TestClient) -> None:
    response = http.post(path, json={"inputs": "abc"})
    assert (response.status_code, response.json()) == (200, {"embeddings": [3.0]})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "", "image/png"])
def test_the_claimed_content_type_does_not_matter(content_type: str, http: TestClient) -> None:
    response = http.post("/", content=b'{"inputs": "abc"}', headers={"content-type": content_type})
    assert response.status_code == 200


def test_answers_have_the_callers_form(http: TestClient) -> None:
    for agent, answer in (("curl/8", {"embeddings": [3.0]}), ("unknown/None; hf_hub/1.0", [[3.0]])):
        assert http.post("/", json={"inputs": "abc"}, headers={"user-agent": agent}).json() == answer


def test_a_task_names_the_model_that_does_it(
    http: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    triton.served = [READY, dataclasses.replace(READY, name="other", spec=tasks.find("sentence-similarity"))]
    assert http.post("/pipeline/sentence-embeddings", json={"inputs": "abc"}).json() == {"embeddings": [3.0]}
    refused = http.post("/pipeline/fill-mask", json={"inputs": "abc"})
    assert refused.status_code == 404
    assert refused.json()["error"] == "none of the models does fill-mask; the models are: m, other"


def test_instances_are_answered_as_predictions(http: TestClient, triton: StandIn) -> None:
    body = {"instances": ["a", "bcd"], "parameters": {"normalize": True}}
    assert http.post("/", json=body).json() == {"predictions": [{"embeddings": [1.0]}, {"embeddings": [3.0]}]}
    (call,) = triton.calls  # one batch
    assert call.parameters == {"normalize": True}


@pytest.mark.parametrize(
    ("instances", "status", "words"),
    [("a", 400, "must be a list"), ([], 400, "must be a list"), (list("abcd"), 413, "4 items"), ([1], 400, "string")],
)
def test_wrong_instances_are_told(instances: Any, status: int, words: str, http: TestClient) -> None:
    response = http.post("/", json={"instances": instances})
    assert response.status_code == status
    assert words in response.json()["error"]


def test_parameters_may_stand_in_the_query(http: TestClient, triton: StandIn) -> None:
    assert http.post("/?normalize=true&dimensions=2", json={"inputs": "a"}).status_code == 200
    assert triton.calls[-1].parameters == {"normalize": True, "dimensions": 2}
    http.post("/?dimensions=2", json={"inputs": "a", "parameters": {"dimensions": 1}})
    assert triton.calls[-1].parameters == {"dimensions": 1}
    assert "unknown parameter 'nope'" in http.post("/?nope=1", json={"inputs": "a"}).json()["error"]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_may_be_compressed(encoding: str, pack: Callable[[bytes], bytes], http: TestClient) -> None:
    def send(body: bytes, encoding: str = encoding) -> Any:
        return http.post("/", content=body, headers={"content-encoding": encoding})

    assert send(pack(b'{"inputs": "abc"}')).json() == {"embeddings": [3.0]}
    assert send(pack(body_of(1000))).status_code == 200
    bomb = send(pack(body_of(10_000_000))[:900])
    assert (bomb.status_code, bomb.json()["error"]) == (413, "the body is larger than the limit of 1,000 bytes")
    assert "not compressed" in send(b'{"inputs": "abc"}').json()["error"]
    assert send(b"x", "br").status_code == 415


def test_a_long_answer_is_compressed_for_who_takes_it(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(accept: str) -> str | None:
        return http.post("/", json={"inputs": "abc"}, headers={"accept-encoding": accept}).headers.get(
            "content-encoding"
        )

    assert sent("gzip") is None  # too short to gain from it
    monkeypatch.setattr(transport, "WORTH_PACKING", 10)
    assert sent("gzip, deflate, br") == "gzip"
    assert sent("identity") is None
    assert sent("gzip;q=0") is None
    answer = http.post("/", json={"inputs": "abc"}, headers={"accept-encoding": "gzip"})
    assert answer.json() == {"embeddings": [3.0]}
    assert answer.headers["vary"].startswith("accept-encoding")


def test_a_page_in_a_browser_may_call(http: TestClient) -> None:
    asks = {"origin": "https://page.example", "access-control-request-method": "POST"}
    preflight = http.options("/", headers={**asks, "access-control-request-headers": "authorization,content-type"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    answer = http.post("/", json={"inputs": "x"}, headers={"origin": "https://page.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_models_are_listed_as_openai_lists_them(http: TestClient) -> None:
    listed = http.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [(entry["id"], entry["object"]) for entry in listed["data"]] == [("m", "model")]


def test_scores_have_the_digits_that_python_writes() -> None:
    found = tensors.answers({"embedding": np.float32([[0.1]])}, READY.outputs)
    assert transport.json_response(found[0]["embedding"]).body == b"[0.10000000149011612]"


@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
def test_a_body_larger_than_the_limit_is_refused(declared: bool, http: TestClient, triton: StandIn) -> None:
    def send(size: int) -> Any:
        return http.post("/", content=body_of(size) if declared else iter([body_of(size)[:500], body_of(size)[500:]]))

    assert send(1000).status_code == 200
    refused = send(1001)
    assert refused.status_code == 413
    assert refused.json() == {
        "error": "the body is larger than the limit of 1,000 bytes",
        "error_type": "validation",
    }
    assert len(triton.calls) == 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is empty"),
        (b"{", 400, "the body is not valid JSON"),
        (b"\xff", 400, "the body is not valid JSON"),
        (b'{"inputs": NaN}', 400, "must be a string, not null"),
        (b"[" * 999, 400, "the body"),
        (b'["x"]', 400, "the body must be a JSON object"),
        (b'{"input": "x"}', 400, 'no key "inputs"'),
        (b'{"inputs": 1}', 400, "must be a string, not the number 1"),
        (b'{"inputs": "\\ud800"}', 400, "the body is not valid JSON"),
        (b'{"inputs": "x", "parameters": {"nope": 1}}', 400, "unknown parameter 'nope'"),
        (b'{"inputs": "01234567890"}', 413, "has 11 characters; the limit is 10"),
        (b'{"inputs": ["a", "b", "c", "d"]}', 413, "has 4 items; the limit is 3"),
    ],
)
def test_a_wrong_body_is_told_as_clients_read_it(
    body: bytes, status: int, words: str, http: TestClient, triton: StandIn
) -> None:
    response = http.post("/", content=body)
    assert response.status_code == status
    assert words in response.json()["error"]
    assert response.json()["error_type"] == "validation"
    assert triton.calls == []


@pytest.mark.parametrize(
    ("failure", "status", "told", "retry"),
    [
        (Overloaded("full"), 429, {"error": "full", "error_type": "overloaded"}, "1"),
        (NotReady("dead"), 503, {"error": "dead"}, "1"),
        (ModelFailed("no"), 500, {"error": "no", "error_type": "generation"}, None),
    ],
)
def test_a_failure_of_tritons_is_told(
    failure: Failure, status: int, told: dict[str, str], retry: str | None, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("triton").failure = failure
    http = request.getfixturevalue("http")
    response = http.post("/", json={"inputs": "x"})
    assert response.status_code == status
    assert response.json() == told
    assert response.headers.get("retry-after") == retry


def test_a_request_whose_model_died_is_asked_once_more(
    http: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "HOLD_S", 5.0)
    monkeypatch.setattr(catalogue, "POLL_S", 0.01)
    monkeypatch.setattr(catalogue, "NOTICED_S", 0.02)
    triton.failure, triton.failures = NotReady("dead"), 1
    assert http.post("/", json={"inputs": "abc"}).json() == {"embeddings": [3.0]}
    assert len(triton.calls) == 2
    triton.failures = 2  # the request that kills its model must not do so for ever
    assert http.post("/", json={"inputs": "abc"}).status_code == 503
    assert len(triton.calls) == 4
    monkeypatch.setattr(attempts, "AGAIN_S", 0.0)
    triton.failures = 1
    assert http.post("/", json={"inputs": "abc"}).status_code == 503
    assert len(triton.calls) == 5


def test_a_body_is_not_read_where_there_is_no_room_for_it(http: TestClient, triton: StandIn) -> None:
    triton.full = True
    refused = http.post("/", content=b"no json")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json() == {"error": "full", "error_type": "overloaded"}
    triton.full = False
    assert http.post("/", content=b"no json").status_code == 400


def test_health_tells_the_state_of_each_model(
    http: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    wants = {"accept": "application/json"}
    triton.served = [READY, Model("n", State.RECOVERING, spec=SPEC)]
    told = {"live": True, "ready": True, "models": {"m": "ready", "n": "recovering"}}
    assert http.get("/health", headers=wants).json() == told
    assert http.get("/health", headers={"accept": "text/plain, application/json;q=0.5"}).text == "Ok"

    async def gone(*_: Any, **__: Any) -> dict[str, Model]:
        raise NotReady("Triton does not answer; it is starting or stopping")

    monkeypatch.setattr(triton, "models", gone)
    down = http.get("/health", headers=wants)
    assert (down.status_code, down.headers["retry-after"]) == (503, "1")
    states = {"m": "recovering", "n": "recovering"}
    assert down.json() == {"error": "Triton does not answer", "live": False, "ready": False, "models": states}


def test_a_shim_that_stops_takes_no_more_requests(triton: StandIn) -> None:
    application = app.create(SETTINGS)
    with TestClient(application) as http:
        application.state.shim.stopping = True
        for refused in (http.get("/health"), http.post("/", json={"inputs": "abc"})):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"] == "the server is stopping"
    assert not triton.calls


def test_a_failure_of_the_shims_own_tells_no_secrets(http: TestClient, triton: StandIn) -> None:
    triton.failure = RuntimeError("/secret/path")
    response = http.post("/", json={"inputs": "x"})
    assert response.status_code == 500
    assert response.json() == {"error": "the shim failed: RuntimeError"}


DEADLINE = "x-request-timeout"


def test_a_request_is_taken_back_when_its_time_is_over(http: TestClient, triton: StandIn) -> None:
    triton.waits = True
    response = http.post("/", json={"inputs": "text"}, headers={DEADLINE: "0.01"})
    assert response.status_code == 504
    assert response.json()["error"] == "the answer was not ready after 0.01 seconds, and is no longer worked on"
    assert triton.cancelled


def test_a_caller_cannot_have_more_time_than_the_shim_gives(triton: StandIn) -> None:
    triton.waits = True
    with TestClient(app.create(dataclasses.replace(SETTINGS, request_timeout_s=0.01))) as http:
        assert http.post("/", json={"inputs": "text"}, headers={DEADLINE: "99"}).status_code == 504
    assert triton.cancelled


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", ""])
def test_a_time_that_is_none_is_refused(seconds: str, http: TestClient, triton: StandIn) -> None:
    response = http.post("/", json={"inputs": "text"}, headers={DEADLINE: seconds})
    assert response.status_code == 400
    assert response.json()["error"] == f"the header {DEADLINE} must be a number of seconds above 0, not {seconds!r}"
    assert not triton.calls


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/models/nope", 404), ("GET", "/nope", 404), ("PUT", "/", 405), ("GET", "/predict", 405)],
)
def test_a_wrong_address_is_told_as_json(method: str, path: str, status: int, http: TestClient) -> None:
    response = http.request(method, path, json={"inputs": "x"})
    assert response.status_code == status
    assert response.json()["error"]


def test_a_request_has_an_id(http: TestClient) -> None:
    def id_of(**headers: str) -> str:
        return str(http.post("/", json={"inputs": "x"}, headers=headers).headers["x-request-id"])

    assert id_of(**{"x-request-id": "mine"}) == "mine"
    assert id_of(**{"x-amzn-trace-id": "Root=1"}) == "Root=1"
    assert len({id_of(), id_of()}) == 2
    assert http.post("/", content=b"", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/alive"])
@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([State.READY], 200),
        ([State.READY, State.FAILED], 200),
        ([State.LOADING], 503),
        ([State.LOADING, State.FAILED], 503),
        ([], 503),
        ([State.FAILED], 500),
    ],
)
def test_health_is_that_of_the_models(
    path: str, states: list[State], status: int, http: TestClient, triton: StandIn
) -> None:
    triton.served = [Model(str(number), state) for number, state in enumerate(states)]
    response = http.get(path)
    assert response.status_code == status
    assert response.text == "Ok" if status == 200 else response.json()["error"]


def test_info_of_one_model_and_of_several(http: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    model = {
        "name": "m",
        "state": "ready",
        "task": "sentence-embeddings",
        "model_id": "acme/tiny",
        "model_sha": "f00",
        "model_dtype": "auto",
    }
    server = {"max_client_batch_size": 3, "version": __version__}
    assert http.get("/info").json() == {**model, **server, "models": [model]}
    triton.served.append(Model("n", State.LOADING))
    several = http.get("/info").json()
    assert several.keys() == {*server, "models"}
    assert [(entry["name"], entry["state"]) for entry in several["models"]] == [("m", "ready"), ("n", "loading")]


def test_the_connection_to_triton_ends_with_the_shim(triton: StandIn) -> None:
    with TestClient(app.create(SETTINGS)):
        assert not triton.closed
    assert triton.closed


# ---- callers who go away; an HTTP client would wait for its answer, so these speak ASGI


async def call(shim: app.Shim, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent to a caller who sends these messages."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b"", "path_params": {}}
    received, sent = iter(messages), []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    response = await shim.predict(Request({**scope, "state": {}}, receive))
    await response(scope, receive, send)
    return sent


async def test_a_caller_who_goes_away_cancels_the_work(triton: StandIn) -> None:
    triton.waits = True
    shim = app.Shim(SETTINGS)
    body = {"type": "http.request", "body": json.dumps({"inputs": "x"}).encode(), "more_body": False}
    async with shim.lifespan(None):  # type: ignore[arg-type]
        sent = await asyncio.wait_for(call(shim, body, {"type": "http.disconnect"}), 5)
    assert sent[0]["status"] == 499
    assert triton.cancelled
    assert shim.metrics.in_flight == 0


async def test_a_caller_who_goes_away_in_the_middle_of_the_body_is_no_failure_of_the_shims(triton: StandIn) -> None:
    shim = app.Shim(SETTINGS)
    body = {"type": "http.request", "body": b'{"inp', "more_body": True}
    async with shim.lifespan(None):  # type: ignore[arg-type]
        sent = await asyncio.wait_for(call(shim, body, {"type": "http.disconnect"}), 5)
    assert sent[0]["status"] == 499
    assert triton.calls == []


# ---- routes of other protocols


@pytest.mark.parametrize("path", ["/v1/embeddings", "/models/m/v1/embeddings", "/models/acme/tiny/v1/embeddings"])
@pytest.mark.parametrize("named", [{}, {"model": "text-embedding-3-small"}, {"model": "m"}, {"model": None}])
def test_an_endpoint_answers_in_its_own_form(
    path: str, named: dict[str, Any], http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = http.post(path, json={"input": "abc", **named})
    assert answer.status_code == 200
    assert answer.json()["data"] == [{"object": "embedding", "index": 0, "embedding": [3.0]}]
    assert answer.json()["model"] == "m"


def test_of_several_models_the_body_names_one_that_can(
    http: TestClient, triton: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    other = dataclasses.replace(READY, name="other", model_id="acme/other", spec=tasks.find("fill-mask"))
    triton.served = [READY, other]
    assert http.post("/v1/embeddings", json={"input": "a", "model": "unknown"}).json()["model"] == "m"
    triton.served.append(dataclasses.replace(READY, name="second", model_id="acme/second"))
    assert http.post("/v1/embeddings", json={"input": "a", "model": "second"}).json()["model"] == "second"
    refused = http.post("/v1/embeddings", json={"input": "a", "model": "unknown"})
    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == "there is no model 'unknown'; name one of: m, second"


def test_an_endpoint_that_no_model_has(http: TestClient) -> None:
    refused = http.post("/rerank", json={"query": "a", "texts": ["b"]})
    assert refused.status_code == 404
    assert refused.json()["error"] == "none of the models answers /rerank; the models are: m"


def test_an_error_below_v1_has_openais_form(http: TestClient) -> None:
    refused = http.post("/v1/embeddings", json={"input": 1})
    assert refused.status_code == 400
    told = refused.json()
    assert told["error"] == {
        "message": told["message"],
        "type": "validation",
        "param": None,
        "code": 400,
    }
    assert '"input" must be a text' in told["message"]
    assert http.post("/v1/embeddings", content=b"[]").status_code == 400

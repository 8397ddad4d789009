"""What the shim makes of Triton's gRPC answers; the client is a stand-in."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from tests import generated
from tritonclient.grpc.service_pb2 import ModelConfigResponse, RepositoryIndexResponse
from tritonclient.utils import InferenceServerException

from hub2triton import tasks
from hub2triton.shim import triton
from hub2triton.shim.failure import (
    Died,
    Failure,
    Invalid,
    ModelFailed,
    NoRoom,
    NotReady,
    Overloaded,
    TimedOut,
    Unknown,
)
from hub2triton.shim.model import Model, State
from hub2triton.tasks.spec import Call, Library
from hub2triton.tensor import PARAMETERS

SPEC = tasks.find("sentence-embeddings")
assert SPEC is not None
CONFIG = generated.files_of(SPEC, Library.SENTENCE_TRANSFORMERS)["config.pbtxt"]
READY = Model(
    "m",
    State.READY,
    spec=SPEC,
    inputs=(*SPEC.inputs, PARAMETERS),
    outputs=SPEC.variants[Library.SENTENCE_TRANSFORMERS].outputs,
    max_batch_size=2,
)


@dataclass
class Client:
    """Triton's client; its model embeds a text as its length."""

    index: list[tuple[str, str, str]] = field(default_factory=list)
    config: bytes = CONFIG
    failure: InferenceServerException | None = None
    fails_on: bytes | None = None
    asked: list[str] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str] | None] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    closed: bool = False

    async def get_model_repository_index(self, client_timeout: float) -> Any:
        self.patience.append(client_timeout)
        if self.failure:
            raise self.failure
        entries = [
            RepositoryIndexResponse.ModelIndex(name=name, state=state, reason=reason)
            for name, state, reason in self.index
        ]
        return RepositoryIndexResponse(models=entries)

    async def get_model_config(self, name: str, client_timeout: float) -> Any:
        self.patience.append(client_timeout)
        self.asked.append(name)
        return ModelConfigResponse(config=generated.parsed(self.config))

    async def infer(self, name: str, inputs: list[Any], headers: Mapping[str, str] | None = None) -> Any:
        self.headers.append(headers)
        sent = {tensor.name(): _sent(tensor) for tensor in inputs}
        self.requests.append({"model": name, **{key: array.tolist() for key, array in sent.items()}})
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        texts = sent["text"][:, 0]
        await asyncio.sleep(0.02 / len(texts[0] or b"x"))  # longer texts are answered first
        self.under_way -= 1
        if self.fails_on in texts:
            raise InferenceServerException("bad text", status="StatusCode.INVALID_ARGUMENT")
        vectors = np.array([[len(text)] for text in texts], dtype=np.float32)
        return SimpleNamespace(as_numpy=lambda _: vectors)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(triton.triton, "InferenceServerClient", lambda *_, **__: client)
    return client


def call(*texts: str, **parameters: Any) -> Call:
    return Call([{"text": text} for text in texts], parameters, lambda answers, _: answers)


async def states(client: Client, known: dict[str, Model] | None = None) -> dict[str, State]:
    models = await triton.Triton("localhost:1").models(known or {})
    return {name: model.state for name, model in models.items()}


async def test_the_states_of_models(client: Client) -> None:
    client.index = [
        ("ready", "READY", ""),
        ("loading", "LOADING", ""),
        ("unloading", "UNLOADING", ""),
        ("between", "UNAVAILABLE", "unloaded"),
        ("new", "UNAVAILABLE", ""),
        ("failed", "UNAVAILABLE", "Internal: ImportError"),
        ("never-asked-for", "", ""),
    ]
    assert await states(client) == {
        "ready": State.READY,
        "loading": State.LOADING,
        "unloading": State.LOADING,
        "between": State.LOADING,
        "new": State.LOADING,
        "failed": State.FAILED,
    }


async def test_a_model_that_has_been_ready_recovers(client: Client) -> None:
    client.index = [
        ("loading", "LOADING", ""),
        ("between", "UNAVAILABLE", "unloaded"),
        ("failed", "UNAVAILABLE", "Internal: ImportError"),
        ("of-a-new-server", "", ""),
        ("never-ready", "", ""),
    ]
    known = {name: replace(READY, name=name) for name, _, _ in client.index}
    known["never-ready"] = Model("never-ready", State.LOADING)
    assert await states(client, known) == {
        "loading": State.RECOVERING,
        "between": State.RECOVERING,
        "failed": State.FAILED,
        "of-a-new-server": State.RECOVERING,
    }


async def test_a_models_configuration_tells_what_it_is(client: Client) -> None:
    client.index = [("m", "READY", "")]
    model = (await triton.Triton("localhost:1").models({}))["m"]
    assert model.spec is SPEC
    assert (model.model_id, model.revision, model.dtype) == (generated.MODEL_ID, generated.REVISION, "auto")
    assert (model.max_batch_size, model.max_text_length) == (SPEC.max_batch_size, 1_000_000)
    bare = [dataclasses.replace(tensor, description="", optional=False) for tensor in (*SPEC.inputs, PARAMETERS)]
    assert list(model.inputs) == bare


async def test_triton_is_not_waited_for_without_end(client: Client) -> None:
    client.index = [("m", "READY", "")]
    await triton.Triton("localhost:1").models({})
    assert client.patience == [triton.PATIENCE_S] * 2


async def test_a_model_that_stays_ready_is_not_asked_again(client: Client) -> None:
    client.index = [("m", "READY", "")]
    connection = triton.Triton("localhost:1")
    first = await connection.models({})
    assert await connection.models(first) == first
    assert client.asked == ["m"]
    await connection.models({"m": Model("m", State.LOADING)})
    assert client.asked == ["m", "m"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"sentence-embeddings", b"from-tomorrow", "from-tomorrow"),
        (b'"task"', b'"x"', "no task"),
    ],
)
async def test_a_model_of_an_unknown_task_has_failed(old: bytes, new: bytes, words: str, client: Client) -> None:
    client.index = [("m", "READY", "")]
    client.config = CONFIG.replace(old, new)
    model = (await triton.Triton("localhost:1").models({}))["m"]
    assert model.state is State.FAILED
    assert f"names {words}, which this shim does not know" in model.reason


async def test_rows_are_asked_in_chunks_and_answered_in_order(client: Client) -> None:
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    answers = await triton.Triton("localhost:1").infer(READY, call(*texts, normalize=True))
    assert [answer["embedding"].tolist() for answer in answers] == [[1], [2], [3], [4], [5]]
    assert [len(request["text"]) for request in client.requests] == [2, 2, 1]
    for request in client.requests:
        assert request["model"] == "m"
        assert [json.loads(text) for [text] in request["parameters_json"]] == [{"normalize": True}] * len(
            request["text"]
        )


async def test_parameters_are_sent_even_where_there_are_none(client: Client) -> None:
    await triton.Triton("localhost:1").infer(READY, call("a"))
    assert client.requests == [{"model": "m", "text": [[b"a"]], "parameters_json": [[b"{}"]]}]


async def test_a_long_list_leaves_room_for_others(client: Client) -> None:
    await triton.Triton("localhost:1").infer(READY, call(*["a"] * 100))
    assert client.most_under_way == triton.CHUNKS_IN_FLIGHT


async def test_the_first_failure_is_the_answer_and_ends_the_rest(client: Client) -> None:
    client.fails_on = b"long text"
    with pytest.raises(Invalid, match="bad text"):
        await triton.Triton("localhost:1").infer(READY, call(*["long text", "x"], *["a"] * 98))
    sent = len(client.requests)
    assert sent < 50
    await asyncio.sleep(0.05)
    assert len(client.requests) == sent


async def test_a_full_queue_refuses_at_once(client: Client) -> None:
    server, full = triton.Triton("localhost:1"), replace(READY, max_queue_size=1)
    first = asyncio.create_task(server.infer(full, call("one")))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="more requests waiting than its queue holds"):
        await server.infer(full, call("two"))
    await server.infer(replace(full, name="other"), call("of another model"))
    await first
    await server.infer(full, call("three"))  # there is room again
    assert [request["text"] for request in client.requests] == [[[b"one"]], [[b"of another model"]], [[b"three"]]]


async def test_the_queue_is_as_long_as_the_configuration_says(client: Client) -> None:
    client.index = [("m", "READY", "")]
    (model,) = (await triton.Triton("localhost:1").models({})).values()
    assert model.max_queue_size == 16 * model.max_batch_size


async def test_several_shims_share_the_queue(client: Client) -> None:
    client.index = [("m", "READY", "")]
    (model,) = (await triton.Triton("localhost:1", shims=3).models({})).values()
    assert 16 * model.max_batch_size <= 3 * model.max_queue_size < 16 * model.max_batch_size + 3


async def test_the_connection_is_closed(client: Client) -> None:
    await triton.Triton("localhost:1").close()
    assert client.closed


@pytest.mark.parametrize(
    ("status", "message", "failure", "http"),
    [
        ("UNAVAILABLE", "Exceeds maximum queue size", Overloaded, 429),
        ("UNAVAILABLE", "Request timeout expired", TimedOut, 504),
        ("UNAVAILABLE", "failed to connect to all addresses", NotReady, 503),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", NotReady, 503),
        ("NOT_FOUND", "Request for unknown model: 'm' is not found", NotReady, 503),
        ("INVALID_ARGUMENT", "input 'text' is not valid UTF-8", Invalid, 400),
        ("INTERNAL", "Stub process 'm_0_0' is not healthy.", Died, 503),
        ("INTERNAL", "Failed to increase the shared memory pool size for key 'k' to 9 bytes.", NoRoom, 503),
        ("UNIMPLEMENTED", "no such thing", Unknown, 404),
        ("INTERNAL", "the model failed: RuntimeError: no", ModelFailed, 500),
    ],
)
async def test_tritons_errors_are_answers_to_http_callers(
    status: str, message: str, failure: type[Failure], http: int, client: Client
) -> None:
    assert grpc.StatusCode[status]
    client.failure = InferenceServerException(message, status=f"StatusCode.{status}")
    with pytest.raises(Failure) as caught:
        await triton.Triton("localhost:1").models({})
    assert type(caught.value) is failure
    assert caught.value.status == http
    if failure in (Invalid, ModelFailed):
        assert str(caught.value) == message


def _sent(tensor: Any) -> np.ndarray[Any, Any]:
    """The texts of an input; on the wire each is preceded by its length."""
    raw, texts = tensor._get_content(), []
    while raw:
        length = int.from_bytes(raw[:4], "little")
        texts.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    array = np.empty(len(texts), dtype=np.object_)
    array[:] = texts
    return array.reshape(tensor.shape())


async def test_a_model_that_is_loaded_again_keeps_its_id(client: Client) -> None:
    client.index = [("m", "LOADING", "")]
    model = (await triton.Triton("localhost:1").models({"m": replace(READY, model_id="acme/tiny")}))["m"]
    assert (model.state, model.model_id) == (State.RECOVERING, "acme/tiny")


async def test_headers_go_along_with_each_request(client: Client) -> None:
    await triton.Triton("localhost:1").infer(READY, call("a", "b", "c"), {"traceparent": "00"})
    assert client.headers == [{"traceparent": "00"}] * 2

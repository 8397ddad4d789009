"""custom on the real server: handlers as people write them, unchanged, and what can go wrong with them."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from PIL import Image
from tests.e2e import service
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from transformers import pipeline

pytestmark = pytest.mark.e2e

BROKEN = "import nothing_of_that_name\n\n\nclass EndpointHandler:\n    pass\n"


@pytest.fixture(scope="module", autouse=True)
def loaded(load: Load, tiny: Callable[[str], Path]) -> None:
    load(
        ("echo", tiny("echo"), "custom"),
        ("legacy", tiny("legacy_pipeline"), "custom"),
        ("classifier", tiny("classifier_handler"), "custom"),
        ("many", tiny("many_answers"), "custom"),
    )


def post(served: Service, model: str, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{served.url}/models/{model}", content=content, headers=headers, timeout=60)


def png(colour: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "Hello"},
        {"inputs": "Hello", "parameters": {}, "moreData": [1, None, {"a": "é🙂"}], "customTask": True},
        {"inputs": None},
        {"messages": []},
        {},
        {"inputs": "x" * 2_000_000},  # base64 is left to the handler, however long it is
    ],
    ids=lambda body: str(body)[:40],
)
def test_an_echo_is_what_was_sent(served: Service, body: dict[str, Any]) -> None:
    found = post(served, "echo", body, **{"content-type": "application/json"})
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json() == body


def test_the_query_becomes_parameters(served: Service) -> None:
    url = f"{served.url}/models/echo?top_k=3&name=x&flag=true"
    assert httpx.post(url, json={"inputs": 1}).json() == {
        "inputs": 1,
        "parameters": {"top_k": 3, "name": "x", "flag": True},
    }


def test_a_legacy_pipeline(served: Service) -> None:
    assert post(served, "legacy", {"inputs": "abc"}).json() == [{"reversed": "cba!"}]
    assert post(served, "legacy", {"input": "abc"}).status_code == 400


def test_a_handler_over_transformers(served: Service, tiny: Callable[[str], Path]) -> None:
    classify = pipeline("text-classification", model=str(tiny("distilbert_sentiment")), device="cpu")
    texts = ["the old man is happy", "a sad dog"]
    found = post(served, "classifier", {"inputs": texts, "parameters": {"top_k": None}}).json()
    for row, wanted in zip(found, classify(texts, top_k=None), strict=True):
        assert [entry["label"] for entry in row] == [entry["label"] for entry in wanted]
        np.testing.assert_allclose([entry["score"] for entry in row], [entry["score"] for entry in wanted], atol=1e-4)
    with pytest.raises(ValueError, match="must be") as error:
        classify(5)
    refused = post(served, "classifier", {"inputs": 5})
    assert (refused.status_code, refused.json()["error"]) == (400, str(error.value))


def test_images_in_and_out(served: Service) -> None:
    sent = png((1, 2, 3))
    as_json = post(served, "many", sent, **{"content-type": "image/png"})
    assert as_json.headers["content-type"] == "application/json"
    as_file = post(served, "many", sent, accept="image/png", **{"content-type": "image/x-image"})
    assert as_file.headers["content-type"] == "image/png"
    assert base64.b64decode(as_json.json()) == as_file.content
    assert Image.open(io.BytesIO(as_file.content)).getpixel((0, 0)) == (1, 2, 3)
    assert Image.open(io.BytesIO(post(served, "many", sent, accept="image/jpeg").content)).format == "JPEG"


def test_other_files_in_and_out(served: Service) -> None:
    url = f"{served.url}/models/many?half=0.5"
    found = httpx.post(url, content=b"RIFF\x00\x01", headers={"content-type": "audio/wav"}).json()
    assert found == {"length": 6, "parameters": {"half": 0.5}}
    sound = post(served, "many", {"inputs": "sound"})
    assert (sound.headers["content-type"], sound.content) == ("audio/wav", b"RIFF")


def test_what_the_handler_raises_is_the_error(served: Service) -> None:
    found = post(served, "many", {"inputs": "raise"}, accept="image/png")
    assert (found.status_code, found.headers["content-type"]) == (400, "application/json")
    assert found.json()["error"] == "'needed'"


def test_exit_is_a_failure_and_no_end(served: Service) -> None:
    (before,) = served.model_processes("many")
    found = post(served, "many", {"inputs": "exit"})
    assert found.status_code == 500
    assert "its code asked to end the process (SystemExit: 3)" in found.json()["error"]
    assert post(served, "many", {"inputs": "numbers"}).json() == [1, 2]
    assert [process.pid for process in served.model_processes("many")] == [before.pid]


@pytest.fixture(scope="module")
def watched(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    """A server of its own, since serve-repo watches what it has loaded itself."""
    output = tmp_path_factory.mktemp("watched") / "model_repository"
    broken = tmp_path_factory.mktemp("broken")
    (broken / "handler.py").write_text(BROKEN)
    service.generate(broken, "custom", "broken", output)
    service.generate(tiny("many_answers"), "custom", "many", output)
    yield from service.start([str(service.BIN / "serve-repo"), str(output)])


def test_a_process_that_dies_comes_again(watched: Service) -> None:
    (before,) = watched.model_processes("many")
    assert post(watched, "many", {"inputs": "die"}).status_code in (500, 503)
    until = time.monotonic() + 60
    while (found := post(watched, "many", {"inputs": "numbers"})).status_code != 200:
        assert found.status_code == 503, found.text
        assert time.monotonic() < until, found.text
        time.sleep(0.5)
    assert found.json() == [1, 2]
    assert [process.pid for process in watched.model_processes("many")] != [before.pid]


def test_code_that_cannot_be_loaded_is_told_in_one_line(watched: Service) -> None:
    (told,) = {line for line in watched.lines if line.startswith("failed  broken: ")}
    wanted = "the model's own handler.py cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert wanted in told
    assert "Serving many (not loaded: broken)" in watched.output


def test_tritonclient_sends_json_and_a_body(served: Service) -> None:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    inputs = []
    for name, value in (("request_json", b'{"a": 1}'), ("body", b"")):
        inputs.append(tritonclient.grpc.InferInput(name, [1, 1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([[value]], dtype=np.object_))
    result = client.infer("echo", inputs)
    client.close()
    assert json.loads(result.as_numpy("response")[0, 0]) == {"a": 1}
    assert result.as_numpy("content_type").tolist() == [[b"application/json"]]

"""What callers can get wrong, and what they do to each other: nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from benchmarks.serving import set_parameter
from sentence_transformers import SentenceTransformer
from tests.e2e import service
from tests.e2e.service import Service
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.e2e

LONG = "word " * 2_000_000  # 10 MB

BAD: list[tuple[str, str, bytes | dict[str, Any], int, str]] = [
    ("no JSON", "minilm", b"Hello", 400, "not valid JSON"),
    ("half of a JSON", "minilm", b'{"inputs": "a', 400, "not valid JSON"),
    ("not UTF-8", "minilm", b'{"inputs": "\xff\xfe"}', 400, "not valid JSON"),
    ("nothing", "minilm", b"", 400, "empty"),
    ("a list for a body", "minilm", b'["a"]', 400, "object"),
    ("no inputs", "minilm", {"input": "a"}, 400, "inputs"),
    ("null", "minilm", {"inputs": None}, 400, "null"),
    ("a number", "minilm", {"inputs": 5}, 400, "number 5"),
    ("a number in a list", "minilm", {"inputs": ["a", 5]}, 400, "inputs[1]"),
    ("a list in a list", "minilm", {"inputs": [["a"]]}, 400, "inputs[0]"),
    ("an object", "minilm", {"inputs": {"text": "a"}}, 400, "object"),
    ("an empty list", "minilm", {"inputs": []}, 400, "empty"),
    ("a lone surrogate", "minilm", b'{"inputs": "\\ud83d"}', 400, "not valid"),
    ("10 MB of text", "minilm", {"inputs": LONG}, 413, "10,000,000 characters"),
    ("10 MB in a list", "minilm", {"inputs": ["a", LONG]}, 413, "inputs[1]"),
    ("too many rows", "minilm", {"inputs": ["a"] * 5000}, 413, "5,000 items"),
    ("an unknown parameter", "minilm", {"inputs": "a", "parameters": {"normalise": True}}, 400, "'normalize'"),
    ("parameters that are a list", "minilm", {"inputs": "a", "parameters": ["x"]}, 400, "parameters"),
    (
        "a parameter of another type",
        "minilm",
        {"inputs": "a", "parameters": {"normalize": "yes"}},
        400,
        "true or false",
    ),
    ("a boolean for a number", "minilm", {"inputs": "a", "parameters": {"dimensions": True}}, 400, "whole number"),
    ("no dimensions", "minilm", {"inputs": "a", "dimensions": 0}, 400, "at least 1"),
    ("too many dimensions", "minilm", {"inputs": "a", "dimensions": 385}, 400, "384"),
    ("an unknown prompt", "minilm", {"inputs": "a", "prompt_name": "nix"}, 400, "prompt_name"),
    ("a strange direction", "minilm", {"inputs": "a", "truncation_direction": "up"}, 400, "left, right"),
    ("too long for truncate=false", "minilm", {"inputs": "a " * 999, "truncate": False}, 400, "1001 tokens"),
    ("a parameter of other models", "features", {"inputs": "a", "dimensions": 3}, 400, "dimensions"),
    ("similarity to nothing", "similarity", {"inputs": {"source_sentence": "a"}}, 400, "sentences"),
    ("similarity of a string", "similarity", {"inputs": "a"}, 400, "source_sentence"),
    ("similarity of an empty list", "similarity", {"inputs": []}, 400, "empty"),
    ("similarity of numbers", "similarity", {"inputs": {"source_sentence": 1, "sentences": ["a"]}}, 400, "number 1"),
    (
        "similarity to numbers",
        "similarity",
        {"inputs": {"source_sentence": "a", "sentences": [1]}},
        400,
        "sentences[0]",
    ),
    ("an unknown model", "nix", {"inputs": "a"}, 404, "minilm"),
    ("a path for a model", "..%2f..%2fetc%2fpasswd", {"inputs": "a"}, 404, "no model"),
]


@pytest.mark.parametrize(("model", "body", "status", "told"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_requests(
    served: Service, repository: Path, model: str, body: bytes | dict[str, Any], status: int, told: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = httpx.post(f"{served.url}/models/{model}", content=content, timeout=60)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert told in error
    assert "Traceback" not in error
    assert str(repository) not in error
    assert ".py" not in error
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["x-request-id"]
    good = httpx.post(f"{served.url}/models/minilm", json={"inputs": "a"}, timeout=60)
    assert good.status_code == 200


def test_routes_that_are_not_there(served: Service) -> None:
    assert httpx.get(f"{served.url}/nix").status_code == 404
    assert httpx.get(f"{served.url}/predict").status_code == 405
    assert "error" in httpx.delete(f"{served.url}/").json()


def test_which_model_is_meant_must_be_said(served: Service) -> None:
    for path in ("/", "/predict"):
        response = httpx.post(served.url + path, json={"inputs": "a"})
        assert response.status_code == 400
        assert "minilm" in response.json()["error"]


def test_a_body_over_the_limit(served: Service) -> None:
    response = httpx.post(f"{served.url}/models/minilm", content=b"x" * (64 * 2**20 + 1), timeout=60)
    assert response.status_code == 413

    def chunks() -> Any:
        for _ in range(66):
            yield b"x" * 2**20

    try:
        response = httpx.post(f"{served.url}/models/minilm", content=chunks(), timeout=60)
        assert response.status_code == 413
    except httpx.WriteError:
        pass  # answered and closed while the caller was still sending
    assert httpx.get(f"{served.url}/health").status_code == 200


def test_tritonclients_mistakes(served: Service) -> None:
    """Without the shim in front, the model itself must say what is wrong."""
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")

    def ask(texts: list[Any], parameters: str | None = None) -> np.ndarray:
        text = tritonclient.grpc.InferInput("text", [len(texts), 1], "BYTES")
        text.set_data_from_numpy(np.array(texts, dtype=object).reshape(-1, 1))
        inputs = [text]
        if parameters is not None:
            given = tritonclient.grpc.InferInput("parameters_json", [len(texts), 1], "BYTES")
            given.set_data_from_numpy(np.full((len(texts), 1), parameters.encode(), dtype=object))
            inputs.append(given)
        return client.infer("minilm", inputs).as_numpy("embedding")

    for texts, parameters, told in (
        ([b"\xff"], None, "UTF-8"),
        (["a"], "{", "not valid JSON"),
        (["a"], "[]", "object"),
        (["a"], '{"nix": 1}', "unknown parameter 'nix'"),
        (["a"], '{"normalize": 1}', "true or false"),
        (["a"], '{"truncation_direction": "up"}', '"left" or "right"'),
        ([LONG], None, "characters"),
        (["a"] * 33, None, "<= 32"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            ask(texts, parameters)
        assert told in caught.value.message()
        assert "Traceback" not in caught.value.message()
        assert ask(["a"]).shape == (1, 384)
    assert ask(["a"], '{"normalize": null}').shape == (1, 384)
    client.close()


async def test_concurrent_requests_share_batches(served: Service, minilm: Any) -> None:
    """64 at once, some of them malformed: batched, each answered right, the malformed ones failing alone."""
    encoder = SentenceTransformer(str(minilm), device="cpu")
    texts = [f"sentence number {index} " + "word " * (index % 17) for index in range(64)]
    bad = {5: {"inputs": 5}, 17: {"inputs": "a", "dimensions": 999}, 40: {"inputs": texts[40], "nonsense": 1}}
    before = [served.metric(name, "minilm") for name in ("nv_inference_count", "nv_inference_exec_count")]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=120) as client:
        url = f"{served.url}/models/minilm"
        responses = await asyncio.gather(
            *(client.post(url, json=bad.get(index, {"inputs": text})) for index, text in enumerate(texts))
        )
    after = [served.metric(name, "minilm") for name in ("nv_inference_count", "nv_inference_exec_count")]
    rows, executions = (now - then for now, then in zip(after, before, strict=True))
    print(f"{rows:.0f} rows in {executions:.0f} executions: {rows / executions:.1f} rows a batch")
    assert rows / executions > 4
    reference = encoder.encode(texts)
    for index, response in enumerate(responses):
        if index in (5, 17):
            assert response.status_code == 400
            assert response.json()["error"]
        else:  # an unknown key at the root of the body is passed over
            assert response.status_code == 200
            np.testing.assert_allclose(response.json()["embeddings"], reference[index], atol=1e-5)


async def test_a_failing_row_fails_alone(served: Service) -> None:
    """Requests that end up in one batch with ones that make the model fail."""
    texts = ["sleep 0.5", *(("raise", "refuse", "ok")[index % 3] for index in range(30))]
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60) as client:
        url = f"{served.url}/models/faulty"
        responses = await asyncio.gather(*(client.post(url, json={"inputs": text}) for text in texts))
    for text, response in zip(texts, responses, strict=True):
        told = response.json()
        if text == "raise":
            assert response.status_code == 500
            assert told["error"] == "the model failed: RuntimeError: out of luck"
        elif text == "refuse":
            assert response.status_code == 400
            assert told["error"] == "this text is refused"
        else:
            assert told == {"embeddings": [float(len(text))]}
    assert served.metric("nv_inference_exec_count", "faulty") < len(texts)


def test_one_bad_row_of_a_list(served: Service) -> None:
    response = httpx.post(f"{served.url}/models/faulty", json={"inputs": ["ok"] * 40 + ["refuse"]})
    assert response.status_code == 400
    assert response.json()["error"] == "this text is refused"


def leave(served: Service, body: bytes) -> None:
    head = f"POST /models/faulty HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(head + body)
        time.sleep(0.05)


def run_out_of_time(served: Service, body: bytes) -> None:
    headers = {"x-request-timeout": "0.2"}
    refused = httpx.post(f"{served.url}/models/faulty", content=body, headers=headers, timeout=60)
    assert refused.status_code == 504, refused.text
    assert "is no longer worked on" in refused.json()["error"]


@pytest.mark.parametrize("end", [leave, run_out_of_time])
def test_a_caller_who_goes_away_cancels_the_work(served: Service, end: Callable[[Service, bytes], None]) -> None:
    """Requests wait behind a slow one; their callers leave, or their time ends; they must not be executed."""
    url = f"{served.url}/models/faulty"

    def texts() -> float:
        answer: float = httpx.post(url, json={"inputs": "how many so far?"}).json()["embeddings"]
        return float(np.ravel(answer)[0])

    before = texts()
    with ThreadPoolExecutor(9) as pool:
        slow = pool.submit(httpx.post, url, json={"inputs": "sleep 3"}, timeout=30)
        time.sleep(0.5)
        body = json.dumps({"inputs": "nobody waits for this"}).encode()
        for ended in [pool.submit(end, served, body) for _ in range(8)]:
            ended.result()
        assert slow.result().status_code == 200
    assert texts() - before == 2  # the slow one and the last one


def test_a_full_queue_refuses_and_a_time_that_is_over_makes_room(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = service.generate(tiny("faults"), "custom", "slow", tmp_path / "repository")
    set_parameter(folder, "max_queue_size", "1")
    for served in service.start([str(service.BIN / "serve-repo"), str(tmp_path / "repository")]):

        def ask(inputs: str, seconds: str = "60", served: Service = served) -> httpx.Response:
            headers = {"x-request-timeout": seconds}
            return httpx.post(served.url, json={"inputs": inputs}, headers=headers, timeout=60)

        def asleep(served: Service = served) -> bool:
            (process,) = served.model_processes("slow")
            return "nanosleep" in Path(f"/proc/{process.pid}/wchan").read_text()

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(ask, "sleep 5")
            while not asleep():
                time.sleep(0.02)
            full = ask("a")
            assert (full.status_code, full.headers["retry-after"]) == (429, "1")
            assert full.json()["error_type"] == "overloaded"
            assert "queue" in full.json()["error"]
            assert first.result().status_code == 200
        late = ask("sleep 3", "0.5")
        assert late.status_code == 504
        assert "0.5 seconds" in late.json()["error"]
        # What has begun goes on; its place in the queue is free.
        assert ask("b").json() == {"inputs": "b"}


def test_health_info_and_metrics(served: Service) -> None:
    for path in ("/", "/health"):
        response = httpx.get(served.url + path)
        assert (response.status_code, response.text) == (200, "Ok")
        assert response.headers["content-type"].startswith("text/plain")
        assert httpx.head(served.url + path).status_code == 200
    info = httpx.get(f"{served.url}/info").json()
    assert {"minilm", "similarity", "features", "pooled", "faulty"} <= {model["name"] for model in info["models"]}
    assert all(model["state"] == "ready" for model in info["models"])
    page = httpx.get(f"{served.url}/metrics").text
    assert "\ninf_batch_current_size " in page
    assert "\ninf_queue_size " in page
    assert 'hub2triton_requests_total{model="minilm",status="200"}' in page
    assert 'nv_inference_count{model="minilm"' in page

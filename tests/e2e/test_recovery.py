"""A model whose process dies is served again by itself, and nobody gets a wrong answer meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

GRACE_S = 3.0


@dataclass
class Answer:
    """What one request got, and when."""

    at: float
    status: int
    text: str
    vector: np.ndarray | None
    error: str


def test_killed_under_load(served: Service, minilm: object) -> None:
    encoder = SentenceTransformer(str(minilm), device="cpu")
    texts = [f"sentence number {index}" for index in range(20)]
    reference = dict(zip(texts, encoder.encode(texts), strict=True))
    answers: list[Answer] = []
    stop = threading.Event()

    def client(start: int) -> None:
        with httpx.Client(timeout=60) as session:
            turn = start
            while not stop.is_set():
                turn += 1
                text = texts[turn % len(texts)]
                response = session.post(f"{served.url}/models/minilm", json={"inputs": text})
                body = response.json()  # also an error must be JSON
                vector = np.array(body["embeddings"]) if response.status_code == 200 else None
                answers.append(Answer(time.monotonic(), response.status_code, text, vector, body.get("error", "")))

    threads = [threading.Thread(target=client, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    allowed = served.load_seconds("minilm") + GRACE_S
    (process,) = served.model_processes("minilm")
    killed_at = time.monotonic()
    process.kill()

    def served_again() -> float | None:
        # Answers that came after the first refusal; the ones before it may have been under way.
        refused = next((answer.at for answer in answers if answer.at > killed_at and answer.status != 200), None)
        return next((answer.at for answer in answers if refused and answer.at > refused and answer.status == 200), None)

    while served_again() is None and time.monotonic() < killed_at + allowed + 60:
        time.sleep(0.1)
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()

    back = served_again()
    assert back is not None, served.output
    print(f"served again {back - killed_at:.1f} s after the kill; loading took {allowed - GRACE_S:.1f} s at the start")
    assert back - killed_at < allowed
    assert {answer.status for answer in answers} == {200, 503}
    for answer in answers:
        if answer.vector is None:
            assert answer.error
        else:
            np.testing.assert_allclose(answer.vector, reference[answer.text], atol=1e-5)
    assert len(served.model_processes("minilm")) == 1


def test_a_model_that_exits_does_not_touch_the_others(served: Service) -> None:
    response = httpx.post(f"{served.url}/models/faulty", json={"inputs": "exit"}, timeout=60)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "error" in response.json()
    assert httpx.post(f"{served.url}/models/minilm", json={"inputs": "a"}, timeout=60).status_code == 200
    until = time.monotonic() + 60
    while httpx.post(f"{served.url}/models/faulty", json={"inputs": "ok"}, timeout=60).status_code != 200:
        assert time.monotonic() < until, served.output

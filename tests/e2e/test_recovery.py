"""A model whose process dies is served again by itself, and nobody gets a wrong answer meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

PATIENCE_S = 180.0
GRACE_S = 3.0
"""Until the death is noticed, and until the requests that are held ask again."""


@dataclass
class Answer:
    """What one request got, and when."""

    at: float
    status: int
    text: str
    vector: np.ndarray | None
    error: str


def wait_for(what: str, check: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < until, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.1)


def test_killed_under_load(served: Service, minilm: object) -> None:
    encoder = SentenceTransformer(str(minilm), device="cpu")
    texts = [f"sentence number {index}" for index in range(20)]
    reference = dict(zip(texts, encoder.encode(texts), strict=True))
    answers: list[Answer] = []
    stop = threading.Event()

    def client(start: int) -> None:
        with httpx.Client(timeout=PATIENCE_S) as session:
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
    wait_for("answers", lambda: len(answers) > 100)
    loads = served.output.count("ready   minilm in")
    (process,) = served.model_processes("minilm")
    killed_at = time.monotonic()
    process.kill()

    def served_again() -> float | None:
        # Answers that came after the first refusal; the ones before it may have been under way.
        refused = next((answer.at for answer in answers if answer.at > killed_at and answer.status != 200), None)
        return next((answer.at for answer in answers if refused and answer.at > refused and answer.status == 200), None)

    try:
        wait_for("served again", lambda: served_again() is not None)
        before = len(answers)
        wait_for("more answers", lambda: len(answers) > before + 100)
        wait_for("loaded again", lambda: served.output.count("ready   minilm in") > loads)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    back = served_again()
    assert back is not None, served.output
    # The load of this very time: whatever else keeps the machine busy has slowed it down as well.
    loading = served.load_seconds("minilm")
    print(f"served again {back - killed_at:.1f} s after the kill; loading took {loading:.1f} s of them")
    assert back - killed_at < 1.5 * loading + GRACE_S
    assert {answer.status for answer in answers} == {200, 503}
    for answer in answers:
        if answer.vector is None:
            assert answer.error
        else:
            np.testing.assert_allclose(answer.vector, reference[answer.text], atol=1e-5)
    assert len(served.model_processes("minilm")) == 1


def test_a_model_that_exits_does_not_touch_the_others(served: Service) -> None:
    response = httpx.post(f"{served.url}/models/faulty", json={"inputs": "exit"}, timeout=PATIENCE_S)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "error" in response.json()
    assert httpx.post(f"{served.url}/models/minilm", json={"inputs": "a"}, timeout=PATIENCE_S).status_code == 200

    def back() -> bool:
        answer = httpx.post(f"{served.url}/models/faulty", json={"inputs": "ok"}, timeout=PATIENCE_S)
        return answer.status_code == 200

    wait_for("served again", back)

"""What a person writes first: a FastAPI route that calls the library, in the threads FastAPI gives such routes."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI  # type: ignore[import-not-found]
from pydantic import BaseModel

from benchmarks.peers.model import load, payload


class Question(BaseModel):
    """The body of a request."""

    inputs: str | list[str]


def serve(task: str, folder: str, port: int) -> None:
    """Serves a model until it is stopped."""
    compute = load(task, folder)
    app = FastAPI()

    @app.post("/")  # type: ignore[untyped-decorator]
    def predict(question: Question) -> Any:
        texts = [question.inputs] if isinstance(question.inputs, str) else question.inputs
        return payload(task, compute(texts))

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))

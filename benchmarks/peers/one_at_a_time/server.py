"""What Hugging Face's own container does: one request after the other, in Starlette."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers.model import load, payload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


def serve(task: str, folder: str, port: int) -> None:
    """Serves a model until it is stopped."""
    compute = load(task, folder)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.busy = asyncio.Lock()
        yield

    async def predict(request: Request) -> JSONResponse:
        inputs = (await request.json())["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        async with request.app.state.busy:
            answers = await asyncio.to_thread(compute, texts)
        return JSONResponse(payload(task, answers))

    app = Starlette(routes=[Route("/", predict, methods=["POST"])], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))

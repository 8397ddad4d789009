"""What a user writes, and what Hugging Face's own container does: one request after the other, in Starlette."""

import asyncio
import sys
from contextlib import asynccontextmanager

import uvicorn
from sentence_transformers import SentenceTransformer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


def serve(model: str, port: int) -> None:
    """Serves a sentence-transformers model until it is stopped."""
    encoder = SentenceTransformer(model, device="cpu")

    @asynccontextmanager
    async def lifespan(app: Starlette):
        app.state.busy = asyncio.Lock()
        yield

    async def predict(request: Request) -> Response:
        texts = (await request.json())["inputs"]
        async with request.app.state.busy:
            vectors = await asyncio.to_thread(encoder.encode, texts, show_progress_bar=False)
        return JSONResponse({"embeddings": vectors.tolist()})

    async def health(_request: Request) -> Response:
        return PlainTextResponse("Ok")

    routes = [Route("/", predict, methods=["POST"]), Route("/health", health)]
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

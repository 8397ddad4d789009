"""The shim's routes: Hugging Face payloads in front of a Triton server."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hub2triton import tasks
from hub2triton.shim import deadline, image_type, openapi, profile, question, status, transport
from hub2triton.shim.catalogue import Catalogue
from hub2triton.shim.failure import Failure, NotReady
from hub2triton.shim.keys import Keys
from hub2triton.shim.links import Links
from hub2triton.shim.metrics import CONTENT_TYPE, Metrics
from hub2triton.shim.triton import Triton
from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

PREDICT = (
    "/",
    "/predict",
    "/invocations",
    "/pipeline/{task}",
    "/models/{name:path}/pipeline/{task}",
    "/models/{name:path}",
)
"""What takes payloads: Hugging Face's own routes, and SageMaker's."""

HEALTH = ("/", "/health", "/ping")

STOPPING = "the server is stopping"

AGAIN_S = 30.0
"""A request whose model died is asked once more; but not one that took longer, which may well be what it died of."""


@dataclass(frozen=True)
class Settings:
    """How a shim is set up.

    Attributes:
        triton: Host and port of Triton's gRPC endpoint.
        triton_metrics: URL of Triton's metrics; None leaves them out of /metrics.
        max_body_bytes: Of one request.
        max_rows: Items in a list of inputs.
        request_timeout_s: Seconds until a request is taken back and answered with 504; its header may say fewer.
        profile: The form of answers for callers that cannot be told by their headers.
        allowed_hosts: Where links in payloads may lead to; see shim/links.py.
        origins: Web pages that may call from a browser; "*" is every one.
        gzip_level: Of responses to callers who take gzip, 1 to 9; 0 for none.
        predict_routes: Further paths that take payloads.
        health_routes: Further paths that tell the health.
        api_keys: Without one of them, only the health and the metrics are told; empty: everybody may ask.
    """

    triton: str
    triton_metrics: str | None = None
    max_body_bytes: int = 64 * 2**20
    max_rows: int = 4096
    request_timeout_s: float = 600.0
    profile: Profile = Profile.TOOLKIT
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ("*",)
    gzip_level: int = 1
    predict_routes: tuple[str, ...] = ()
    health_routes: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)


def create(settings: Settings) -> Starlette:
    """The shim as an ASGI application."""
    shim = Shim(settings)
    # Where clients are given a model's own URL. The longest first: /embeddings is the end of /v1/embeddings.
    below = [f"/models/{{name:path}}{path}" for path in sorted(tasks.endpoints(), key=len, reverse=True)]
    posts = (*tasks.endpoints(), *below, *PREDICT, *settings.predict_routes)
    health = (*HEALTH, *settings.health_routes)
    application = Starlette(
        routes=[
            *(Route(path, shim.health, methods=["GET"]) for path in health),
            *(Route(path, shim.predict, methods=["POST"]) for path in posts),
            Route("/info", shim.info, methods=["GET"]),
            Route("/v1/models", shim.models, methods=["GET"]),
            Route("/metrics", shim.prometheus, methods=["GET"]),
            Route("/openapi.json", shim.openapi, methods=["GET"]),
            Route("/docs", shim.docs, methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "retry-after"],
            ),
            # Inside the other, which answers a browser's question whether it may ask at all.
            *([Middleware(Keys, settings.api_keys, (*health, "/metrics"))] if settings.api_keys else []),
        ],
        exception_handlers={HTTPException: _http_error, Failure: _failure, Exception: _unexpected},
        lifespan=shim.lifespan,
    )
    application.state.shim = shim
    return application


class Shim:
    """Answers requests; holds no state but what Triton can tell again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.triton_metrics)
        self.links = Links(settings.allowed_hosts, settings.max_body_bytes)
        self.stopping = False
        """Set once no more requests are to be taken."""

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Connects to Triton, in the event loop that serves."""
        self.triton = Triton(self.settings.triton)
        self.catalogue = Catalogue(self.triton)
        yield
        await self.triton.close()

    async def predict(self, request: Request) -> Response:
        """A payload in, its answer out; on the routes of Hugging Face's payloads and on those of other protocols."""
        self.metrics.in_flight += 1
        try:
            if self.stopping:
                raise NotReady(STOPPING)
            sent = await transport.read(request, self.settings.max_body_bytes)
            answered = await transport.unless_gone(request, self._answer(request, sent))
            response = answered or Response(status_code=transport.CLOSED_REQUEST)
        except Failure as failure:
            response = transport.error_response(failure, request.url.path)
        except ClientDisconnect:  # in the middle of the body
            response = Response(status_code=transport.CLOSED_REQUEST)
        finally:
            self.metrics.in_flight -= 1
        # Only a model that was found becomes a label: a caller must not be able to make up new series.
        self.metrics.count(getattr(request.state, "model", ""), response.status_code)
        response.headers["x-request-id"] = transport.request_id(request)
        return response

    async def health(self, request: Request) -> Response:
        """GET /health and its like."""
        live = True
        try:
            models = await self.catalogue.models()
        except NotReady:
            models, live = self.catalogue.lost(), False
        accept = request.headers.get("accept", "")
        return status.health(models, accept, live=live, stopping=STOPPING if self.stopping else "")

    async def info(self, _request: Request) -> Response:
        """GET /info."""
        return status.info(await self.catalogue.models(), self.settings.max_rows)

    async def models(self, _request: Request) -> Response:
        """GET /v1/models."""
        return status.listed(await self.catalogue.models())

    async def openapi(self, _request: Request) -> Response:
        """GET /openapi.json: what can be asked, for programs."""
        return transport.json_response(
            openapi.document((await self.catalogue.models()).values(), keys=bool(self.settings.api_keys))
        )

    async def docs(self, _request: Request) -> Response:
        """GET /docs: the same as a page to try it."""
        return FileResponse(openapi.PAGE, media_type="text/html")

    async def prometheus(self, _request: Request) -> Response:
        """GET /metrics."""
        return Response(await self.metrics.page(), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request, sent: bytes) -> Response:
        caller = profile.of(request.headers, self.settings.profile)
        async with deadline.kept(request, self.settings.request_timeout_s):
            model, call = await question.read(request, sent, self.catalogue, self.settings.max_rows, caller)
            call = await self.links.followed(call)
            began = time.monotonic()
            try:
                answers = await self.triton.infer(model, call)
            except NotReady as refusal:  # it was ready a moment ago, and will be again: no answer had begun
                model = await self.catalogue.again(model, refusal)
                if time.monotonic() - began > AGAIN_S:
                    raise
                answers = await self.triton.infer(model, call)
        accept = request.headers.get("accept", "")
        content = await image_type.fitted(call.decode(answers, caller), accept)
        response = transport.response(content, accept)
        return await transport.packed(response, request.headers.get("accept-encoding", ""), self.settings.gzip_level)


async def _failure(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Failure)  # noqa: S101 (registered for it)
    return transport.error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    where = f"{request.method} {request.url.path}"
    return transport.error_response(Failure(f"{error.detail}: {where}", status=error.status_code))


async def _unexpected(_request: Request, error: Exception) -> Response:
    return transport.error_response(Failure(f"the shim failed: {type(error).__name__}"))

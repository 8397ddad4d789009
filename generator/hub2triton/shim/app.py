"""The shim's routes: Hugging Face payloads in front of a Triton server."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hub2triton import tasks
from hub2triton.log_format import LogFormat
from hub2triton.shim import access_log, deadline, image_type, openapi, profile, question, request_id, status, transport
from hub2triton.shim.access_log import AccessLog
from hub2triton.shim.attempts import Attempts
from hub2triton.shim.catalogue import Catalogue
from hub2triton.shim.failure import Failure, NotReady, Overloaded
from hub2triton.shim.keys import Keys
from hub2triton.shim.links import Links
from hub2triton.shim.metrics import CONTENT_TYPE, Metrics
from hub2triton.shim.refusals import Refusals
from hub2triton.shim.settings import Settings as Settings  # noqa: PLC0414, TC001 (whoever creates one needs it)
from hub2triton.shim.triton import Triton
from hub2triton.shim.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hub2triton.shim.metrics import Measured
    from hub2triton.shim.model import Model
    from hub2triton.tasks.spec import Answer, Call

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


def create(settings: Settings) -> Starlette:
    """The shim as an ASGI application."""
    shim = Shim(settings)
    # Where clients are given a model's own URL. The longest first: /embeddings is the end of /v1/embeddings.
    below = [f"/models/{{name:path}}{path}" for path in sorted(tasks.endpoints(), key=len, reverse=True)]
    posts = (*tasks.endpoints(), *below, *PREDICT, *settings.predict_routes)
    health = (*HEALTH, *settings.health_routes)
    unguarded = (*health, "/metrics")
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
            *shim.observers(unguarded),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=[request_id.HEADER, "retry-after"],
            ),
            # Inside the other, which answers a browser's question whether it may ask at all.
            *([Middleware(Keys, settings.api_keys, unguarded, shim.metrics.refused)] if settings.api_keys else []),
        ],
        exception_handlers={HTTPException: _http_error, Failure: _failure, Exception: _unexpected},
        lifespan=shim.lifespan,
    )
    application.state.shim = shim
    # To the Host that the request names, which may be anything; a path with a slash too many is not there.
    application.router.redirect_slashes = False
    return application


class Shim:
    """Answers requests; holds no state but what Triton can tell again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.triton_metrics, settings.metrics_file, together=settings.shims > 1)
        self.links = Links(settings.allowed_hosts, settings.max_body_bytes)
        self.turns = Turns()
        """Of all callers' connections."""
        self.refusals = Refusals()
        self.stopping = False
        """Set once no more requests are to be taken."""
        # stdout, as serve-repo's own lines: it is what containers' logs are made of.
        self._log = sys.stdout.buffer if settings.log_format is LogFormat.JSON else None
        self.tracing = None
        if settings.traces:
            from hub2triton.shim.tracing import Tracing

            self.tracing = Tracing(settings.traces, settings.triton)

    def observers(self, quiet: tuple[str, ...]) -> list[Middleware]:
        """What looks on as requests are answered: nothing, unless it is asked for.

        Args:
            quiet: Paths that are asked every few seconds, of which nobody wants to read.
        """
        found = []
        if self.tracing:
            from hub2triton.shim.tracing import Spans

            found.append(Middleware(Spans, self.tracing, quiet))
        if self._log:
            found.append(Middleware(AccessLog, self._log, quiet))
        return found

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Connects to Triton, in the event loop that serves."""
        self.triton = Triton(self.settings.triton, self.settings.shims)
        self.catalogue = Catalogue(self.triton)
        self.attempts = Attempts(self.catalogue, self._infer)
        yield
        await self.triton.close()
        if self.tracing:
            self.tracing.close()

    async def predict(self, request: Request) -> Response:
        """A payload in, its answer out; on the routes of Hugging Face's payloads and on those of other protocols."""
        measured = self.metrics.begin()
        code = 500
        try:
            request.state.request_id = request_id.of(request.headers)
            response = await self._answered(request, measured)
            response.headers[request_id.HEADER] = request.state.request_id
            code = response.status_code
        finally:
            # Only a model that was found becomes a label: a caller must not be able to make up new series.
            measured.end(getattr(request.state, "model", ""), code)
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
        try:
            models = await self.catalogue.models()
        except NotReady:
            models = self.catalogue.lost()
        return Response(await self.metrics.page(models.values()), media_type=CONTENT_TYPE)

    def refused(self, failure: Failure, client: str) -> None:
        """Takes note of a request that was answered before it was whole, so that no route saw it.

        Args:
            failure: What its caller was told.
            client: The caller's address.
        """
        self.metrics.refused(failure.status)
        if self._log:
            access_log.refused(self._log, failure, client)

    async def _answered(self, request: Request, measured: Measured) -> Response:
        try:
            if self.stopping:
                raise NotReady(STOPPING)
            sent = await transport.read(request, self.settings.max_body_bytes)
            answered = await transport.unless_gone(request, self._unless_full(request, sent, measured))
            return answered or Response(status_code=transport.CLOSED_REQUEST)
        except Failure as failure:
            request.state.error = str(failure)
            return transport.error_response(failure, request.scope["path"])
        except ClientDisconnect:  # in the middle of the body
            return Response(status_code=transport.CLOSED_REQUEST)

    async def _unless_full(self, request: Request, sent: bytes, measured: Measured) -> Response:
        try:
            return await self._answer(request, sent, measured)
        except Overloaded:
            await self.refusals.told(request.client)
            raise

    async def _answer(self, request: Request, sent: bytes, measured: Measured) -> Response:
        caller = profile.of(request.headers, self.settings.profile)
        async with deadline.kept(request, self.settings.request_timeout_s):
            admit = self.triton.admit
            model, call = await question.read(request, sent, self.catalogue, admit, self.settings.max_rows, caller)
            request.state.task, request.state.rows = model.spec and model.spec.name, len(call.rows)
            measured.asks(model.name, len(call.rows))
            call = await self.links.followed(call)
            answers = await self.attempts.answers(model, call)
        accept = request.headers.get("accept", "")
        content = await image_type.fitted(call.decode(answers, caller), accept)
        response = transport.response(content, accept)
        return await transport.packed(response, request.headers.get("accept-encoding", ""), self.settings.gzip_level)

    async def _infer(self, model: Model, call: Call) -> list[Answer]:
        if self.tracing:
            return await self.tracing.infer(self.triton, model, call)
        return await self.triton.infer(model, call)


async def _failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, Failure)  # noqa: S101 (registered for it)
    request.state.error = str(error)
    return transport.error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    where = f"{request.method} {request.scope['path']}"
    request.state.error = error.detail
    return transport.error_response(Failure(f"{error.detail}: {where}", status=error.status_code))


async def _unexpected(_request: Request, error: Exception) -> Response:
    return transport.error_response(Failure(f"the shim failed: {type(error).__name__}"))

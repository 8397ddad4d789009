"""The shim's routes: Hugging Face payloads in front of a Triton server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub2triton import __version__
from hub2triton.shim import body, profile, transport
from hub2triton.shim.catalogue import HOLD_S, Catalogue
from hub2triton.shim.failure import Failure, Invalid, ModelFailed, NotReady
from hub2triton.shim.links import Links
from hub2triton.shim.metrics import CONTENT_TYPE, Metrics
from hub2triton.shim.model import Model, State
from hub2triton.shim.triton import Triton
from hub2triton.tasks.parameter import from_query
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hub2triton.tasks.spec import Call, Json, TaskSpec

LARGE = 2**20
"""Bytes of a body beyond which it is read beside the event loop, so that other requests do not wait for it."""


@dataclass(frozen=True)
class Settings:
    """How a shim is set up.

    Attributes:
        triton: Host and port of Triton's gRPC endpoint.
        triton_metrics: URL of Triton's metrics; None leaves them out of /metrics.
        max_body_bytes: Of one request.
        max_rows: Items in a list of inputs.
        profile: The form of answers for callers that cannot be told by their headers.
        allowed_hosts: Where links in payloads may lead to; see shim/links.py.
    """

    triton: str
    triton_metrics: str | None = None
    max_body_bytes: int = 64 * 2**20
    max_rows: int = 4096
    profile: Profile = Profile.TOOLKIT
    allowed_hosts: tuple[str, ...] = ()


def create(settings: Settings) -> Starlette:
    """The shim as an ASGI application."""
    shim = Shim(settings)
    return Starlette(
        routes=[
            Route("/", shim.health, methods=["GET"]),
            Route("/", shim.predict, methods=["POST"]),
            Route("/predict", shim.predict, methods=["POST"]),
            Route("/models/{name:path}", shim.predict, methods=["POST"]),
            Route("/health", shim.health, methods=["GET"]),
            Route("/info", shim.info, methods=["GET"]),
            Route("/metrics", shim.prometheus, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _http_error, Failure: _failure, Exception: _unexpected},
        lifespan=shim.lifespan,
    )


class Shim:
    """Answers requests; holds no state but what Triton can tell again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.triton_metrics)
        self.links = Links(settings.allowed_hosts, settings.max_body_bytes)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Connects to Triton, in the event loop that serves."""
        self.triton = Triton(self.settings.triton)
        self.catalogue = Catalogue(self.triton)
        yield
        await self.triton.close()

    async def predict(self, request: Request) -> Response:
        """POST /, /predict and /models/NAME: a payload in, its answer out."""
        name = request.path_params.get("name")
        self.metrics.in_flight += 1
        try:
            response = await self._predict(request, name)
        except Failure as failure:
            response = transport.error_response(failure)
        except ClientDisconnect:  # in the middle of the body
            response = Response(status_code=transport.CLOSED_REQUEST)
        finally:
            self.metrics.in_flight -= 1
        # Only a model that was found becomes a label: a caller must not be able to make up new series.
        self.metrics.count(getattr(request.state, "model", ""), response.status_code)
        response.headers["x-request-id"] = transport.request_id(request)
        return response

    async def health(self, _request: Request) -> Response:
        """GET / and /health: 200 `Ok` while a model can be asked, else 503."""
        models = await self.catalogue.models()
        if any(model.state is State.READY for model in models.values()):
            return PlainTextResponse("Ok")
        if models and all(model.state is State.FAILED for model in models.values()):
            raise ModelFailed("no model could be loaded; the server's log says why")
        raise NotReady("no model is ready yet")

    async def info(self, _request: Request) -> Response:
        """GET /info: what is served; the fields of a single model stand at the top, as clients expect."""
        models = [_described(model) for model in (await self.catalogue.models()).values()]
        limits = {"max_client_batch_size": self.settings.max_rows, "version": __version__}
        first = models[0] if len(models) == 1 else {}
        return transport.json_response({**first, **limits, "models": models})

    async def prometheus(self, _request: Request) -> Response:
        """GET /metrics."""
        return Response(await self.metrics.page(), media_type=CONTENT_TYPE)

    async def _predict(self, request: Request, name: str | None) -> Response:
        sent = await transport.read(request, self.settings.max_body_bytes)
        answered = await transport.unless_gone(request, self._answer(request, name, sent))
        return answered or Response(status_code=transport.CLOSED_REQUEST)

    async def _answer(self, request: Request, name: str | None, sent: bytes) -> Response:
        model = await self.catalogue.ready(name)
        assert model.spec is not None  # noqa: S101 (a ready model has one)
        request.state.model = model.name
        caller = profile.of(request.headers, self.settings.profile)
        asked = (request, sent, model, model.spec, caller)
        call = await asyncio.to_thread(self._call, *asked) if len(sent) > LARGE else self._call(*asked)
        call = await self.links.followed(call)
        try:
            answers = await self.triton.infer(model, call)
        except NotReady:  # it was ready a moment ago, and will be again
            await asyncio.sleep(HOLD_S)
            raise
        return transport.response(call.decode(answers, caller), request.headers.get("accept", ""))

    def _call(self, request: Request, sent: bytes, model: Model, spec: TaskSpec, caller: Profile) -> Call:
        """What a body asks of a model."""
        content = body.content(sent, request.headers.get("content-type", ""), spec)
        query = from_query(request.query_params.multi_items(), spec.parameters)
        try:
            limits = Limits(model.max_text_length, self.settings.max_rows)
            return spec.encode(Payload.from_json(content, limits, spec.root_forms, caller, query))
        except PayloadError as error:
            raise Invalid(str(error), status=error.status) from None


def _described(model: Model) -> dict[str, Json]:
    return {
        "name": model.name,
        "state": model.state.value,
        "task": model.spec.name if model.spec else None,
        "model_id": model.model_id,
        "model_sha": model.revision or None,
        "model_dtype": model.dtype or None,
    }


async def _failure(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Failure)  # noqa: S101 (registered for it)
    return transport.error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    where = f"{request.method} {request.url.path}"
    return transport.error_response(Failure(f"{error.detail}: {where}", status=error.status_code))


async def _unexpected(_request: Request, error: Exception) -> Response:
    return transport.error_response(Failure(f"the shim failed: {type(error).__name__}"))

"""The shim's routes: Hugging Face payloads in front of a Triton server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from hub2triton import __version__, tasks
from hub2triton.shim import body, image_type, openapi, profile, transport
from hub2triton.shim.catalogue import HOLD_S, Catalogue, Wanted
from hub2triton.shim.failure import Failure, Invalid, ModelFailed, NotReady
from hub2triton.shim.links import Links
from hub2triton.shim.metrics import CONTENT_TYPE, Metrics
from hub2triton.shim.model import Model, State
from hub2triton.shim.triton import Triton
from hub2triton.tasks.parameter import from_query
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.request import call_of
from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request

    from hub2triton.tasks.spec import Call, Json

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
        origins: Web pages that may call from a browser; "*" is every one.
        gzip_level: Of responses to callers who take gzip, 1 to 9; 0 for none.
        predict_routes: Further paths that take payloads.
        health_routes: Further paths that tell the health.
    """

    triton: str
    triton_metrics: str | None = None
    max_body_bytes: int = 64 * 2**20
    max_rows: int = 4096
    profile: Profile = Profile.TOOLKIT
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ("*",)
    gzip_level: int = 1
    predict_routes: tuple[str, ...] = ()
    health_routes: tuple[str, ...] = ()


def create(settings: Settings) -> Starlette:
    """The shim as an ASGI application."""
    shim = Shim(settings)
    # Where clients are given a model's own URL. The longest first: /embeddings is the end of /v1/embeddings.
    below = [f"/models/{{name:path}}{path}" for path in sorted(tasks.endpoints(), key=len, reverse=True)]
    posts = (*tasks.endpoints(), *below, *PREDICT, *settings.predict_routes)
    return Starlette(
        routes=[
            *(Route(path, shim.health, methods=["GET"]) for path in (*HEALTH, *settings.health_routes)),
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
            )
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
        """A payload in, its answer out; on the routes of Hugging Face's payloads and on those of other protocols."""
        self.metrics.in_flight += 1
        try:
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

    async def models(self, _request: Request) -> Response:
        """GET /v1/models: what is served, as OpenAI's clients list it."""
        served = await self.catalogue.models()
        ready = [model.name for model in served.values() if model.state is State.READY]
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "hub2triton"} for name in ready]
        return transport.json_response({"object": "list", "data": listed})

    async def openapi(self, _request: Request) -> Response:
        """GET /openapi.json: what can be asked, for programs."""
        return transport.json_response(openapi.document((await self.catalogue.models()).values()))

    async def docs(self, _request: Request) -> Response:
        """GET /docs: the same as a page to try it."""
        return FileResponse(openapi.PAGE, media_type="text/html")

    async def prometheus(self, _request: Request) -> Response:
        """GET /metrics."""
        return Response(await self.metrics.page(), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request, sent: bytes) -> Response:
        model, call = await self._asked(request, sent)
        call = await self.links.followed(call)
        try:
            answers = await self.triton.infer(model, call)
        except NotReady:  # it was ready a moment ago, and will be again
            await asyncio.sleep(HOLD_S)
            raise
        accept = request.headers.get("accept", "")
        content = await image_type.fitted(call.decode(answers, self._profile(request)), accept)
        response = transport.response(content, accept)
        return await transport.packed(response, request.headers.get("accept-encoding", ""), self.settings.gzip_level)

    async def _asked(self, request: Request, sent: bytes) -> tuple[Model, Call]:
        """The model that a request means, and what it asks of it."""
        path = _endpoint_path(request)
        root = body.json_object(sent) if path else {}
        model = await self.catalogue.ready(_wanted(request, path, root))
        request.state.model = model.name
        beside = asyncio.to_thread if len(sent) > LARGE else _at_once
        try:
            if not path:
                return model, await beside(self._payload_call, request, sent, model)
            return model, await beside(self._endpoint_call, request, path, root, model)
        except PayloadError as error:
            raise Invalid(str(error), status=error.status) from None

    def _payload_call(self, request: Request, sent: bytes, model: Model) -> Call:
        assert model.spec is not None  # noqa: S101 (a ready model has one)
        content = body.content(sent, request.headers.get("content-type", ""), model.spec)
        query = from_query(request.query_params.multi_items(), model.spec.parameters)
        return call_of(model.spec, content, self._limits(model), self._profile(request), query)

    def _endpoint_call(self, request: Request, path: str, root: dict[str, Json], model: Model) -> Call:
        endpoint = model.spec and model.spec.endpoint(path)
        assert endpoint is not None  # noqa: S101 (the catalogue has seen to it)
        return endpoint.encode(Payload(None, {}, root, self._limits(model), self._profile(request), model.name))

    def _limits(self, model: Model) -> Limits:
        return Limits(model.max_text_length, self.settings.max_rows)

    def _profile(self, request: Request) -> Profile:
        return profile.of(request.headers, self.settings.profile)


async def _at_once(work: Callable[..., Call], *arguments: Json) -> Call:
    return work(*arguments)


def _endpoint_path(request: Request) -> str:
    """The path of the other protocol that a request speaks, also below a model's own URL; empty for payloads."""
    path = request.url.path.removeprefix(f"/models/{request.path_params.get('name')}")
    return path if path in tasks.endpoints() else ""


def _wanted(request: Request, endpoint: str, root: Mapping[str, Json]) -> Wanted:
    """Which model a request means: the one named in its URL, or of the task named there, or the one named in its body.

    Clients of other protocols put any name into the body, so that one does not have to be there.
    """
    name, task = request.path_params.get("name"), request.path_params.get("task")
    if endpoint:
        told = root.get("model")
        named = name or (told if isinstance(told, str) else None)
        return Wanted(named, name is not None, lambda spec: spec.endpoint(endpoint) is not None, f"answers {endpoint}")
    wanted = tasks.find(task) if task is not None else None
    if name is not None or wanted is None:
        return Wanted(name)
    return Wanted(fits=lambda spec: spec is wanted, what=f"does {wanted.name}")


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

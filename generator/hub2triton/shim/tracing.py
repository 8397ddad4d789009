"""OpenTelemetry's spans of requests and of what Triton is asked; imported only where traces have somewhere to go."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers

from hub2triton import __version__
from hub2triton.shim import redaction

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from opentelemetry.trace import Span
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hub2triton.shim.model import Model
    from hub2triton.shim.triton import Triton
    from hub2triton.tasks.spec import Answer, Call

SERVICE = "hub2triton-shim"
ASKED = "inference.GRPCInferenceService/ModelInfer"
FAILED = 500
LAST_SPANS_S = 1.0
"""How long the spans of the last requests may take on their way when the shim ends."""


class Tracing:
    """Where spans are made, and sent from in a thread of its own."""

    def __init__(self, endpoint: str, triton: str) -> None:
        """Starts the thread.

        Args:
            endpoint: The URL that spans are posted to. All else, such as headers and the share of requests that is
                traced, comes from OpenTelemetry's environment variables.
            triton: Host and port of Triton's gRPC endpoint.
        """
        own = Resource.create({"service.name": SERVICE, "service.version": __version__})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._context = TraceContextTextMapPropagator()
        self.tracer = self._provider.get_tracer("hub2triton.shim", __version__)
        host, _, port = triton.rpartition(":")
        self._asked: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.service": "inference.GRPCInferenceService",
            "rpc.method": "ModelInfer",
            "server.address": host.strip("[]"),
            "server.port": int(port) if port.isdecimal() else 0,
        }

    def server_span(self, scope: Scope) -> Span:
        """The span of a request, a child of its caller's own where its headers name one."""
        headers = Headers(scope=scope)
        carried = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", ""),
            "user_agent.original": headers.get("user-agent", ""),
            "client.address": scope["client"][0] if scope.get("client") else "",
        }
        parent = self._context.extract(carried) if carried else None
        return self.tracer.start_span(scope["method"], parent, SpanKind.SERVER, attributes)

    async def infer(self, triton: Triton, model: Model, call: Call) -> list[Answer]:
        """Asks Triton, with a span around it that Triton's own become children of."""
        with self.tracer.start_as_current_span(
            ASKED,
            kind=SpanKind.CLIENT,
            attributes={**self._asked, "hub2triton.model": model.name, "hub2triton.rows": len(call.rows)},
            record_exception=False,  # an error's text may hold words of the payload
            set_status_on_exception=False,
        ) as span:
            headers: dict[str, str] = {}
            # Triton 2.51 traces all that has a parent, also where that says that it is not to be.
            if span.is_recording():
                self._context.inject(headers)
            try:
                return await triton.infer(model, call, headers)
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Sends what is left, if that takes no longer than a moment."""
        # In a thread that does not keep the process: with no one at the endpoint this takes several seconds.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_SPANS_S)


class Spans:
    """Makes a span of each request to an application."""

    def __init__(self, app: ASGIApp, tracing: Tracing, quiet: Collection[str]) -> None:
        """Traces an application.

        Args:
            app: It may tell more of a request in its state: `model`, `task`, `rows`, `request_id`, `error`.
            tracing: Makes the spans.
            quiet: Paths whose GETs have no span, for they are asked every few seconds.
        """
        self._app = app
        self._tracing = tracing
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and ends its span once it is answered."""
        if scope["type"] != "http" or (scope["method"] in ("GET", "HEAD") and scope["path"] in self._quiet):
            await self._app(scope, receive, send)
            return
        status = FAILED

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        span = self._tracing.server_span(scope)
        state = scope.setdefault("state", {})
        if span.is_recording():
            state["trace_id"] = format_trace_id(span.get_span_context().trace_id)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                await self._app(scope, receive, sent)
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            if span.is_recording():
                _describe(span, scope, status)
            span.end()


def _describe(span: Span, scope: Scope, status: int) -> None:
    """Adds what is known of a request once it is answered."""
    state: Mapping[str, object] = scope["state"]
    span.set_attribute("http.response.status_code", status)
    if "endpoint" in scope:  # a route was found
        route = _route(scope["path"], scope.get("path_params", {}))
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    for name in ("model", "task", "rows", "request_id"):
        if isinstance(value := state.get(name), str | int):
            span.set_attribute(f"hub2triton.{name}", value)
    if status >= FAILED:
        error = state.get("error")
        span.set_status(StatusCode.ERROR, redaction.redacted(error, status) if isinstance(error, str) else None)


def _route(path: str, parameters: Mapping[str, object]) -> str:
    """A path with the names of its parts in the place of what callers put there, so that it names few spans."""
    for name, value in parameters.items():
        path = re.sub(f"/{re.escape(str(value))}(?=/|$)", lambda _, name=name: f"/{{{name}}}", path, count=1)  # type: ignore[misc]
    return path

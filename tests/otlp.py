"""A collector of OpenTelemetry's: it takes spans over HTTP, from the shim in protobuf and from Triton in JSON."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SERVER, CLIENT = 2, 3
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Span:
    """One span; ids in hex."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Where to send spans, and those that came.

    Attributes:
        url: Without the path that OpenTelemetry puts behind it.
        received: What came, undecoded.
    """

    url: str
    spans: list[Span] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)

    def of(self, trace: str, count: int) -> list[Span]:
        """The spans of a trace, once there are so many."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if len(found := [span for span in self.spans if span.trace == trace]) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not {count} spans of {trace} within {PATIENCE_S} s: {self.spans}")


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            decode = _of_json if self.headers["content-type"] == "application/json" else _of_protobuf
            collector.paths.add(self.path)
            collector.received.append(body)
            collector.spans += decode(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def _of_protobuf(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = {entry.key: entry.value.string_value for entry in resource.resource.attributes}["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                values = {entry.key: entry.value for entry in span.attributes}
                attributes = {key: getattr(value, str(value.WhichOneof("value"))) for key, value in values.items()}
                yield Span(service, span.name, span.kind, *ids, attributes)


def _of_json(body: bytes) -> Iterator[Span]:
    for resource in json.loads(body)["resourceSpans"]:
        service = {entry["key"]: entry["value"]["stringValue"] for entry in resource["resource"]["attributes"]}
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                attributes = {entry["key"]: next(iter(entry["value"].values())) for entry in span.get("attributes", [])}
                ids = (span["traceId"], span["spanId"], span.get("parentSpanId", ""))
                yield Span(service["service.name"], span["name"], span["kind"], *ids, attributes)

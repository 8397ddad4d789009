"""How a shim is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hub2triton.log_format import LogFormat
from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What a shim is told when it starts.

    Attributes:
        triton: Host and port of Triton's gRPC endpoint.
        triton_metrics: URL of Triton's metrics; None leaves them out of /metrics.
        metrics_file: Further metrics for that page, which serve-repo writes; None leaves them out.
        traces: The URL that OpenTelemetry's spans are posted to; None for no traces.
        log_format: In JSON, each answered request is a line on stdout.
        max_body_bytes: Of one request.
        max_rows: Items in a list of inputs.
        request_timeout_s: Seconds until a request is taken back and answered with 504; its header may say fewer.
        profile: The form of answers for callers that cannot be told by their headers.
        allowed_hosts: Where links in payloads may lead to; see shim/links.py.
        origins: Web pages that may call from a browser; "*" is every one.
        gzip_level: Of responses to callers who take gzip, 1 to 9; 0 for none.
        predict_routes: Further paths that take payloads.
        health_routes: Further paths that tell the health.
        shims: How many share the port, and with it each model's queue; see metrics.Metrics for what they count.
        api_keys: Without one of them, only the health and the metrics are told; empty: everybody may ask.
    """

    triton: str
    triton_metrics: str | None = None
    metrics_file: Path | None = None
    traces: str | None = None
    log_format: LogFormat = LogFormat.TEXT
    max_body_bytes: int = 64 * 2**20
    max_rows: int = 4096
    request_timeout_s: float = 600.0
    profile: Profile = Profile.TOOLKIT
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ("*",)
    gzip_level: int = 1
    predict_routes: tuple[str, ...] = ()
    health_routes: tuple[str, ...] = ()
    shims: int = 1
    api_keys: tuple[str, ...] = field(default=(), repr=False)

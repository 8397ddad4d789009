"""Where traces are sent to: told by OpenTelemetry's own environment variables, to the shim and to Triton alike."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PATH = "/v1/traces"


EXPORTER = "opentelemetry.exporter.otlp.proto.http"


class CollectorError(ValueError):
    """The variables ask for what cannot be done; the text says what to change."""


def endpoint(environment: Mapping[str, str]) -> str | None:
    """The URL that spans are posted to; None where nobody asked for traces.

    Raises:
        CollectorError: They are to be sent in another way than over HTTP, the only one that Triton has.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    base = environment.get(ENDPOINT, "").rstrip("/")
    url = environment.get(TRACES_ENDPOINT) or (base and base + PATH)
    if not url:
        return None
    variable = next((name for name in PROTOCOLS if environment.get(name)), "")
    if variable and not environment[variable].startswith("http/"):
        raise CollectorError(
            f"{variable} is {environment[variable]!r}, but traces are sent over HTTP alone; set it to http/protobuf, "
            "and the endpoint to the collector's port for HTTP, which is 4318 by default"
        )
    if not url.startswith(("http://", "https://")):
        raise CollectorError(f"traces cannot be sent to {url!r}; set {ENDPOINT} to a URL such as http://localhost:4318")
    return url


def check(environment: Mapping[str, str]) -> str | None:
    """The same as `endpoint`, where the packages that send spans are installed.

    Raises:
        CollectorError: They are not, or as `endpoint` says.
    """
    url = endpoint(environment)
    if url is None:
        return None
    try:
        found = find_spec(EXPORTER) is not None
    except ModuleNotFoundError:  # of the packages around it
        found = False
    if not found:
        raise CollectorError(f"{EXPORTER} is not installed; pip install 'hub2triton[otel]', or set no {ENDPOINT}")
    return url

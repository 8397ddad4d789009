"""Names in URLs and headers that are more than names."""

from __future__ import annotations

import json

import pytest
from tests.e2e.attacks.conftest import KEY, Target
from tests.wire import ask

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../embeddings",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f%2e%2e%2fetc",
        "embeddings/../writer",
        "embeddings%2f..%2fwriter",
        "embeddings%00",
        "%00",
        "%0d%0aX-Evil:%20a",
        "%ff%fe",
        "%ed%a0%80",
        "embeddings/versions/1",
        "embeddings/infer",
        "x" * 10_000,
        "*",
        "{name}",
    ],
)
def test_no_name_reaches_anything_but_a_model(target: Target, name: str) -> None:
    answer = target.ask(target.request({"inputs": "a"}, path=f"/models/{name}"))
    assert answer.status == 404
    assert answer.error.startswith(("there is no model", "Not Found: POST /models/"))
    assert "x-evil" not in answer.headers
    assert str(target.repository) not in answer.error


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/embeddings/load",
        "/v2/repository/models/embeddings/unload",
        "/v2/models/embeddings/config",
        "/v2/models/embeddings/infer",
        "/v2/systemsharedmemory/status",
        "/v2/trace/setting",
        "/v2/logging",
        "/models/embeddings/../../v2/repository/index",
        "//v2/repository/index",
        "/..%2fv2/repository/index",
    ],
)
def test_tritons_own_routes_are_not_there(target: Target, method: str, path: str) -> None:
    key = f"Authorization: Bearer {KEY}"
    lines = [f"{method} {path} HTTP/1.1", "Host: x", key, "Content-Length: 2", "Content-Type: application/json"]
    assert ask(target.port, "\r\n".join([*lines, "", "{}"]).encode()).status in (404, 405)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "[", "x/v1/embeddings?", "x#", "a@b", "x:99999", "x\\y", "127.0.0.1:8000/v2", "a" * 1000, ""],
)
def test_the_host_of_a_request_means_nothing(target: Target, host: str) -> None:
    lines = ["POST /models/embeddings HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {KEY}", "Content-Length: 15"]
    answer = ask(target.port, "\r\n".join([*lines, "", '{"inputs": "a"}']).encode())
    assert answer.status == 200
    for path in ("/health/", "/v1/models/", "//evil.example/health", "/nowhere"):
        key = f"Authorization: Bearer {KEY}"
        told = ask(target.port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{key}\r\n\r\n".encode())
        assert told.status == 404
        assert "location" not in told.headers
        assert b"127.0.0.1" not in told.body


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\n X-Evil: b", "a\rX-Evil: b", "\xe9\xff", "x" * 5000, "\t"])
def test_the_id_of_a_request_is_no_header_of_the_answer(target: Target, value: str) -> None:
    answer = target.ask(target.request({"inputs": "a"}, f"X-Request-Id: {value}"))
    assert answer.status in (200, 400)
    assert "x-evil" not in answer.headers
    given = answer.headers.get("x-request-id", "")
    assert given.isascii()
    assert given.isprintable()
    assert len(given) <= 128


@pytest.mark.parametrize(
    "line",
    [
        b"GET /health HTTP/1.1\r\nX\x00: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET /hea\x00lth HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health?\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["name", "value", "path", "high path", "high query", "CONNECT", "HTTP/2", "TLS"],
)
def test_what_is_no_http_is_refused_in_words(target: Target, line: bytes) -> None:
    answer = ask(target.port, line)
    assert answer.status == 400
    assert list(json.loads(answer.body)) == ["error", "error_type"]
    assert answer.headers["connection"] == "close"

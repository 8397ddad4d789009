"""Keys that are none, and ways around them."""

from __future__ import annotations

import base64

import httpx
import pytest
from tests.e2e.attacks.conftest import KEY, OTHER_KEY, Target
from tests.wire import ask, post

pytestmark = pytest.mark.e2e

GUARDED = ("/info", "/v1/models", "/openapi.json", "/docs")
OPEN = ("/", "/health", "/ping", "/metrics")
BODY = {"inputs": "a"}


@pytest.mark.parametrize("given", [f"Bearer {KEY}", f"Bearer {OTHER_KEY}", f"bearer {KEY}", f"BEARER   {OTHER_KEY} "])
def test_each_key_opens_in_every_spelling_of_the_scheme(target: Target, given: str) -> None:
    assert ask(target.port, post("/models/embeddings", BODY, f"Authorization: {given}")).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Authorization:"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer "],
        ["Authorization: Bearer null"],
        [f"Authorization: {KEY}"],
        [f"Authorization: Token {KEY}"],
        [f"Authorization: Bearer{KEY}"],
        [f"Authorization: Bearer {KEY[:-1]}"],
        [f"Authorization: Bearer {KEY}x"],
        [f"Authorization: Bearer {KEY.upper()}"],
        [f"Authorization: Bearer {KEY},{OTHER_KEY}"],
        [f"Authorization: Bearer {KEY} {OTHER_KEY}"],
        [f'Authorization: Bearer "{KEY}"'],
        [f"Authorization: Bearer {KEY}\xe9"],
        [f"Authorization: Basic {base64.b64encode(f'x:{KEY}'.encode()).decode()}"],
        ["Authorization: Bearer wrong-key-of-nobody", f"Authorization: Bearer {KEY}"],
        [f"X-Api-Key: {KEY}"],
        [f"Proxy-Authorization: Bearer {KEY}"],
        [f"Cookie: Authorization=Bearer {KEY}"],
        ["X-Forwarded-For: 127.0.0.1", "X-Original-URL: /health", "X-HTTP-Method-Override: GET"],
    ],
)
def test_nothing_else_opens(target: Target, lines: list[str]) -> None:
    answer = ask(target.port, post("/models/embeddings", BODY, *lines))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert KEY not in answer.body.decode()


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "authorization", "Authorization"])
def test_a_key_in_the_url_does_not_open(target: Target, name: str) -> None:
    query = {name: KEY if "uth" not in name else f"Bearer {KEY}"}
    assert httpx.post(f"{target.url}/models/embeddings", json=BODY, params=query).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/models/embeddings", "/v1/embeddings", "/health/../info", "//info", "/%69nfo", "/health%2f..%2finfo", "/nix"],
)
def test_no_way_around(target: Target, path: str) -> None:
    for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE"):
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Length: 0", "", ""]
        assert ask(target.port, "\r\n".join(lines).encode()).status == 401


def test_only_health_and_figures_are_open(target: Target) -> None:
    assert {path: httpx.get(target.url + path).status_code for path in OPEN} == dict.fromkeys(OPEN, 200)
    assert {path: httpx.get(target.url + path).status_code for path in GUARDED} == dict.fromkeys(GUARDED, 401)
    assert httpx.post(f"{target.url}/", json=BODY).status_code == 401
    assert httpx.post(f"{target.url}/health", json=BODY).status_code == 401


def test_a_page_elsewhere_needs_the_key_too(target: Target) -> None:
    """A browser may ask whether it may ask; it sends no key of its own, and is told not to send cookies."""
    page = {"origin": "https://evil.example"}
    asks = {**page, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    may = httpx.options(f"{target.url}/models/embeddings", headers=asks)
    assert may.status_code == 200
    assert "access-control-allow-credentials" not in may.headers
    assert httpx.post(f"{target.url}/models/embeddings", json=BODY, headers=page).status_code == 401


def test_a_body_without_a_key_is_not_read(target: Target) -> None:
    head = "POST /models/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"
    assert ask(target.port, head.encode()).status == 401

"""API keys: what they guard, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.unit.test_shim_app import StandIn

from hub2triton.serve.command import main as serve
from hub2triton.shim import app, keys
from hub2triton.shim.command import main

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    stand_in = StandIn()
    monkeypatch.setattr(app, "Triton", lambda *_: stand_in)
    settings = app.Settings(triton="localhost:1", api_keys=(FIRST, SECOND), health_routes=("/alive",))
    with TestClient(app.create(settings)) as client:
        yield client


def status(http: TestClient, authorization: str | None) -> int:
    headers = {} if authorization is None else {"authorization": authorization}
    return http.post("/", json={"inputs": "a"}, headers=headers).status_code


@pytest.mark.parametrize("given", [f"Bearer {FIRST}", f"Bearer {SECOND}", f"bearer  {FIRST} "])
def test_each_of_the_keys_opens(http: TestClient, given: str) -> None:
    assert status(http, given) == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer undefined",  # which some browsers' clients send without a key
        FIRST,
        f"Basic {FIRST}",
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST},{SECOND}",
    ],
)
def test_nothing_else_does(http: TestClient, given: str | None) -> None:
    assert status(http, given) == 401


@pytest.mark.parametrize("given", [FIRST, SECOND, f"{FIRST[:-1]}x", "x"])
def test_every_key_is_compared_in_constant_time_whatever_was_sent(
    given: str, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the one function that is made for it, on digests of one length, and none is left out after a match."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    assert status(http, f"Bearer {given}") == (200 if given in (FIRST, SECOND) else 401)
    assert len(compared) == 2
    assert {len(digest) for pair in compared for digest in pair} == {32}


def test_refusals_are_counted(http: TestClient) -> None:
    assert status(http, "Bearer nobody") == 401
    assert 'hub2triton_requests_total{model="",status="401"} 1.0' in http.get("/metrics").text


def test_a_refusal_is_told_as_clients_read_it(http: TestClient) -> None:
    refused = http.post("/", json={"inputs": "a"}, headers={"origin": "https://page.example"})
    assert "Authorization: Bearer KEY" in refused.json()["error"]
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["access-control-allow-origin"] == "*"
    openai = http.post("/v1/embeddings", json={"input": "a"})
    assert (openai.status_code, openai.json()["error"]["code"]) == (401, 401)


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/alive", "/metrics"])
def test_health_and_figures_are_open(http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 200
    assert http.head(path).status_code == 200


@pytest.mark.parametrize("path", ["/info", "/v1/models", "/openapi.json", "/docs", "/nope", "/health/"])
def test_all_else_is_guarded(http: TestClient, path: str) -> None:
    assert http.get(path, follow_redirects=False).status_code == 401


def test_a_browsers_question_is_answered_without_a_key(http: TestClient) -> None:
    asks = {"origin": "https://page.example", "access-control-request-method": "POST"}
    asks["access-control-request-headers"] = "authorization"
    assert http.options("/", headers=asks).status_code == 200
    assert http.options("/").status_code == 401


def test_the_document_says_that_a_key_is_needed(http: TestClient) -> None:
    document = http.get("/openapi.json", headers={"authorization": f"Bearer {FIRST}"}).json()
    (name,) = document["components"]["securitySchemes"]
    assert document["security"] == [{name: []}]


def test_settings_do_not_show_keys() -> None:
    assert FIRST not in repr(app.Settings(triton="localhost:1", api_keys=(FIRST,)))


def test_keys_are_read_from_both_places(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n  {FIRST}  \n{SECOND}\n")
    assert keys.read("", file) == (FIRST, SECOND)
    assert keys.read(f"{SECOND}, third-key-0123456789,", file) == (SECOND, "third-key-0123456789", FIRST, SECOND)
    assert keys.read("", None) == ()


@pytest.mark.parametrize(
    ("text", "content", "says"),
    [
        ("short", None, "at least 16"),
        ("sixteen letters long", None, "no space"),
        ("sixteen-létters-long", None, "ASCII"),
        ("", "", "holds no key"),
        ("", "# only this\n", "holds no key"),
        ("", "short\n", "at least 16"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: str, content: str | None, says: str, tmp_path: Path) -> None:
    file = None
    if content is not None:
        file = tmp_path / "keys"
        file.write_text(content)
    with pytest.raises(keys.KeysError, match=says) as caught:
        keys.read(text, file)
    assert "short" not in str(caught.value).replace("too short", "")


def test_a_key_in_the_place_of_its_file_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--api-key-file", FIRST]) == 2
    assert FIRST not in capsys.readouterr().err


def test_the_command_takes_keys_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the flag, of the environment, and of a file."""
    file = tmp_path / "keys"
    file.write_text("key-of-the-file-0123\n")
    monkeypatch.setenv("HUB2TRITON_API_KEY", "key-of-the-environment")
    taken: list[app.Settings] = []

    def create(settings: app.Settings) -> None:
        taken.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "create", create)
    with pytest.raises(KeyboardInterrupt):
        main(["--api-key", FIRST, "--api-key", SECOND, "--api-key-file", str(file)])
    assert taken[0].api_keys == ("key-of-the-environment", FIRST, SECOND, "key-of-the-file-0123")


@pytest.mark.parametrize("command", [main, serve], ids=["hf-shim", "serve-repo"])
@pytest.mark.parametrize("key", ["short", "a key with spaces in it", ""])
def test_a_key_that_is_none_is_refused_and_not_repeated(
    command: Callable[[list[str]], int], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = command([f"--api-key={key}"])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    told = capsys.readouterr().err
    assert "give a key" in told if not key else "at least 16 characters" in told
    assert not key or f" {key} " not in told


def test_the_command_does_not_start_without_its_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--api-key-file", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err

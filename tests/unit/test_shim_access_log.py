"""The log as lines of JSON: what stands in them, and what never does."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.test_shim_app import SETTINGS, StandIn

from hub2triton import tasks
from hub2triton.log_format import LogFormat
from hub2triton.log_line import Severity, line
from hub2triton.shim import app, catalogue, log_config, redaction, request_id
from hub2triton.shim.access_log import AccessLog
from hub2triton.shim.failure import ModelFailed, TooSlow

KEY = "the-key-of-a-caller-0123"
SECRET = "xyzzy7"  # noqa: S105 - nobody's
SETTINGS_JSON = dataclasses.replace(SETTINGS, log_format=LogFormat.JSON, api_keys=(KEY,))
BEARER = {"authorization": f"Bearer {KEY}"}

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(app, "Triton", lambda *_: stand_in)
    monkeypatch.setattr(catalogue, "HOLD_S", 0.05)
    return stand_in


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    text = io.TextIOWrapper(stream)  # which closes the stream as soon as nobody has it
    monkeypatch.setattr(app.sys, "stdout", text)
    yield stream
    text.close()


@pytest.fixture
def lines(stdout: io.BytesIO) -> Lines:
    """All that was logged."""
    return lambda: [json.loads(text) for text in stdout.getvalue().splitlines()]


@pytest.fixture
def http(triton: StandIn, stdout: io.BytesIO) -> Iterator[TestClient]:
    with TestClient(app.create(SETTINGS_JSON), raise_server_exceptions=False, headers=BEARER) as client:
        yield client


def test_a_request_is_a_line(http: TestClient, lines: Lines) -> None:
    answer = http.post("/models/acme/tiny?normalize=true", json={"inputs": ["a", "b"]}, headers={"x-request-id": "i"})
    (logged,) = lines()
    time = datetime.fromisoformat(logged.pop("time"))
    assert time.tzinfo is not None
    assert logged.pop("duration_ms") > 0
    assert logged == {
        "level": "info",
        "source": "shim",
        "message": "request",
        "request_id": "i",
        "method": "POST",
        "path": "/models/acme/tiny",
        "model": "m",
        "task": "sentence-embeddings",
        "rows": 2,
        "client": "testclient",
        "status": 200,
        "bytes_in": len(answer.request.content),
        "bytes_out": len(answer.content),
    }


def test_the_id_of_the_answer_is_that_of_the_line(http: TestClient, lines: Lines) -> None:
    answer = http.post("/", json={"inputs": "a"})
    assert lines()[0]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "status", "level", "error"),
    [
        ("/models/nope", 404, "warning", "there is no model '…'; the models are: m"),
        ("/nope", 404, "warning", "Not Found"),
        ("/", 400, "warning", "the body has no key \"inputs\" (keys given: '…')"),
    ],
)
def test_an_error_is_told(path: str, status: int, level: str, error: str, http: TestClient, lines: Lines) -> None:
    assert http.post(path, json={SECRET: 1}).status_code == status
    (logged,) = lines()
    assert (logged["status"], logged["level"], logged["error"]) == (status, level, error)


def test_failures_are_errors(http: TestClient, triton: StandIn, lines: Lines) -> None:
    triton.failure = ModelFailed(f"ValueError: cannot use {SECRET}")
    http.post("/", json={"inputs": "a"})
    triton.failure = RuntimeError(SECRET)
    http.post("/", json={"inputs": "a"})
    assert [(entry["level"], entry["status"], entry["error"]) for entry in lines()] == [
        ("error", 500, "ValueError: …"),
        ("error", 500, "RuntimeError"),
    ]


def test_refusals_and_requests_without_a_key_are_logged_too(http: TestClient, lines: Lines) -> None:
    assert http.post("/", json={"inputs": "a"}, headers={"authorization": "Bearer wrong"}).status_code == 401
    (logged,) = lines()
    assert logged["status"] == 401
    assert logged["error"].startswith("this server asks for a key")


def test_a_request_that_was_refused_before_it_was_whole_is_logged(http: TestClient, lines: Lines) -> None:
    http.app.state.shim.refused(TooSlow("the headers did not come; send them at once"), "192.0.2.1")  # type: ignore[attr-defined]
    (logged,) = lines()
    del logged["time"]
    assert logged == {
        "level": "warning",
        "source": "shim",
        "message": "request",
        "client": "192.0.2.1",
        "error": "the headers did not come; send them at once",
        "status": 408,
    }


def test_probes_are_logged_only_where_they_fail(http: TestClient, triton: StandIn, lines: Lines) -> None:
    for path in ("/", "/health", "/ping", "/alive", "/metrics"):
        assert http.get(path).status_code == 200
    assert lines() == []
    triton.served = []
    http.app.state.shim.catalogue._read_at = 0.0  # type: ignore[attr-defined]
    assert http.get("/health").status_code == 503
    http.get("/info")
    assert [(entry["path"], entry["status"]) for entry in lines()] == [("/health", 503), ("/info", 200)]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": SECRET},
        {"inputs": [SECRET, 1]},
        {"inputs": SECRET * 100},
        {"inputs": {SECRET: SECRET}},
        {"inputs": {"text": [SECRET]}},
        {SECRET: SECRET},
        {"inputs": "a", "parameters": SECRET},
        {"inputs": "a", "parameters": {SECRET: 1}},
        {"inputs": "a", "parameters": {"normalize": SECRET}},
        {"inputs": "a", "parameters": {f"it's '{SECRET}'\n": SECRET}},
        {"inputs": "a", "parameters": {"dimensions": f"\"' {SECRET}"}},
        {"instances": SECRET},
        SECRET,
        [SECRET],
        f"https://example.org/{SECRET}",
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
@pytest.mark.parametrize("path", ["/", f"/?{SECRET}={SECRET}", f"/?normalize={SECRET}", "/v1/embeddings"])
def test_no_word_of_a_payload_and_no_key_is_logged(
    path: str, body: Any, http: TestClient, stdout: io.BytesIO, capfd: pytest.CaptureFixture[str]
) -> None:
    http.post(path, json=body)
    http.post(path, content=json.dumps(body)[:-1] + SECRET)
    http.post(path, json=body, headers={"authorization": f"Bearer {SECRET}", "cookie": SECRET})
    logged = stdout.getvalue().decode()
    assert logged.count('"message":"request"') == 3
    for secret in (SECRET, KEY):
        assert secret not in logged + "".join(capfd.readouterr())


def test_the_words_of_a_sentence_that_are_the_servers_own_stay() -> None:
    known = next(iter(tasks.find("sentence-embeddings").parameters)).name  # type: ignore[union-attr]
    assert redaction.redacted(f"unknown parameter {known!r}", 400) == f"unknown parameter '{known}'"
    assert redaction.redacted("the model's queue is full", 429) == "the model's queue is full"
    assert redaction.redacted("not the string 'a \\' b'; send one", 400) == "not the string '…'; send one"
    assert redaction.redacted('not "it\'s"', 400) == 'not "…"'
    assert SECRET not in redaction.redacted(f"not 'never closed {SECRET}", 400)
    assert len(redaction.redacted("x" * 10_000, 400)) == redaction.LONGEST


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("mine", "mine"),
        ("a\tb\x7fc", "abc"),
        ('"}\\u000a{"', '"}\\u000a{"'),
        ("\u00e9\u2028x", "x"),
        ("x" * 1000, "x" * request_id.LONGEST),
    ],
)
def test_an_id_cannot_break_a_line(given: str, kept: str) -> None:
    assert request_id.of({"x-request-id": given}) == kept
    logged = line(Severity.INFO, "shim", "request", request_id=given).decode()
    assert logged.index("\n") == len(logged) - 1
    assert json.loads(logged)["request_id"] == given


def test_an_id_is_made_where_none_is_left() -> None:
    assert len({request_id.of({"x-request-id": "\t"}), request_id.of({}), request_id.of({"x-request-id": ""})}) == 3
    assert request_id.of({"x-amzn-trace-id": "Root=1"}) == "Root=1"


def test_half_of_a_surrogate_pair_is_a_line_too() -> None:
    logged = line(Severity.INFO, "shim", "\ud800")
    assert logged.endswith(b"}\n")
    assert json.loads(logged)["message"] == "\ud800"


async def test_requests_are_answered_when_nobody_reads_the_log() -> None:
    class Gone(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    sent = []

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await AccessLog(answer, Gone(), ())(scope, lambda: None, send)  # type: ignore[arg-type, return-value]
    assert sent == ["http.response.start", "http.response.body"]


def test_nothing_is_logged_as_text(triton: StandIn, stdout: io.BytesIO, capfd: pytest.CaptureFixture[str]) -> None:
    with TestClient(app.create(SETTINGS)) as client:
        client.post("/", json={"inputs": "a"})
        client.post("/models/nope", json={"inputs": "a"})
    assert (stdout.getvalue(), *capfd.readouterr()) == (b"", "", "")


def test_what_libraries_log_is_json_without_the_text_of_exceptions() -> None:
    formatter = log_config.JsonFormatter()
    try:
        {}[SECRET]
    except KeyError:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "x.py", 1, "failed: %s\n", ("a",), sys.exc_info())
    logged = json.loads(formatter.format(record))
    assert (logged["level"], logged["logger"], logged["message"]) == ("error", "uvicorn.error", "failed: a")
    assert logged["exception"] == "KeyError"
    assert "test_shim_access_log.py" in logged["frames"]
    assert SECRET not in json.dumps(logged)  # the line of source is shown, and not the exception's text


def test_the_logging_of_libraries_is_set_up() -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        logging.config.dictConfig(log_config.of(LogFormat.JSON))
        assert isinstance(logging.root.handlers[0].formatter, log_config.JsonFormatter)
    finally:
        logging.root.handlers[:], logging.root.level = before
    assert "uvicorn" in log_config.of(LogFormat.TEXT)["loggers"]

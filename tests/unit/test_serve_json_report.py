"""What serve-repo tells, as lines of JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hub2triton.serve.command import main
from hub2triton.serve.json_report import JsonReport
from hub2triton.serve.log import Level, Record, Writer
from hub2triton.serve.options import Options
from hub2triton.serve.repository import ModelDirectory


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines, without their times."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(line.pop("time") for line in lines)
    return lines


def test_each_event_is_a_line_on_a_terminal_too() -> None:
    stream = Terminal()
    report = JsonReport(stream, verbose=True)
    report.loading("a")
    report.tick()
    seconds = report.ready("a")
    report.loading("b")
    report.failed("b", "ValueError: no", "ValueError: no\nframes", retry=2)
    report.note("died    a: its process 1 is gone; loading the model again")
    own = {"source": "serve-repo"}
    assert told(stream) == [
        {"level": "info", **own, "message": "loading", "model": "a"},
        {"level": "info", **own, "message": "ready", "model": "a", "seconds": round(seconds, 3)},
        {"level": "info", **own, "message": "loading", "model": "b"},
        {
            "level": "error",
            **own,
            "message": "failed",
            "model": "b",
            "error": "ValueError: no",
            "retry_s": 2,
            "full": "ValueError: no\nframes",
        },
        {"level": "warning", **own, "message": "died a: its process 1 is gone; loading the model again"},
    ]


def test_the_servers_logs_are_lines_too() -> None:
    stream = io.StringIO()
    report = JsonReport(stream, verbose=False)
    report.record(Record(Writer.TRITON, Level.WARN, "x.cc", "one\ntwo"))
    report.record(Record(Writer.MODEL, Level.OUTPUT, "", "printed"))
    report.shim('{"time":"now","level":"info","source":"shim","message":"request"}')
    report.shim("Traceback")
    report.shim("")
    assert told(stream) == [
        {"level": "warning", "source": "triton", "message": "one\ntwo"},
        {"level": "info", "source": "model", "message": "printed"},
        {"level": "info", "source": "shim", "message": "request"},
        {"level": "warning", "source": "shim", "message": "Traceback"},
    ]


def test_summary_says_what_answers_where() -> None:
    stream = io.StringIO()
    JsonReport(stream, verbose=False).summary(Options(Path("repo")), [ModelDirectory("a", Path("repo/a"))], ["b"])
    (line,) = told(stream)
    assert (line["models"], line["failed"]) == (["a"], ["b"])
    assert line["huggingface"] == "http://127.0.0.1:8080/"
    assert line["triton_grpc"] == "127.0.0.1:8001"


def test_the_last_words_are_a_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent"), "--log-format", "json"]) == 2
    (line,) = told(io.StringIO(capsys.readouterr().err))
    assert (line["level"], line["source"]) == ("error", "serve-repo")
    assert "absent" in line["message"]

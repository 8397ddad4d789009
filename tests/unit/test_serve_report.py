import io
import os
from pathlib import Path

import pytest

from hub2triton.serve import report
from hub2triton.serve.log import Level, Record, Writer
from hub2triton.serve.options import Options
from hub2triton.serve.report import Report
from hub2triton.serve.repository import ModelDirectory


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_per_event_where_nobody_looks() -> None:
    stream = io.StringIO()
    printed = Report(stream, verbose=False)
    printed.loading("a")
    printed.loading("b")
    printed.tick()
    printed.ready("a")
    printed.failed("b", "ValueError: no", "ValueError: no\nframes", retry=2)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["loading a", "loading b"]
    assert lines[2].startswith("ready   a in 0.")
    assert lines[3:] == ["failed  b: ValueError: no; next attempt in 2 s"]


def test_long_loads_are_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(report.time, "monotonic", lambda: clock)
    stream = io.StringIO()
    printed = Report(stream, verbose=False)
    printed.loading("a")
    clock = 131.0
    printed.tick()
    printed.tick()
    assert stream.getvalue().splitlines() == ["loading a", "loading a … 31.0 s"]


def test_a_terminal_is_drawn_over() -> None:
    stream = Terminal()
    printed = Report(stream, verbose=False)
    printed.loading("a")
    printed.note("text")
    printed.ready("a")
    assert stream.getvalue().count("\n") == 2
    assert "\r\x1b[Kloading a … 0.0 s\r\x1b[Ktext\n" in stream.getvalue()


def test_verbose_shows_the_full_text() -> None:
    stream = io.StringIO()
    Report(stream, verbose=True).failed("a", "first", "first\nAt:\n  frame")
    assert stream.getvalue() == "failed  a: first\n        first\n        At:\n          frame\n"


def test_records_are_aligned() -> None:
    stream = io.StringIO()
    Report(stream, verbose=False).record(Record(Writer.TRITON, Level.WARN, "x.cc", "one\ntwo"))
    assert stream.getvalue() == "triton  WARN  one\n              two\n"


def test_a_reader_that_left_does_not_stop_the_servers() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        printed = Report(stream, verbose=False)
        printed.note("one")
        printed.note("two")


def test_summary_says_what_answers_where() -> None:
    stream = io.StringIO()
    options = Options(Path("repo"), host="0.0.0.0")
    model = ModelDirectory("a", Path("repo/a"))
    Report(stream, verbose=False).summary(options, [model], [])
    text = stream.getvalue()
    assert "curl http://127.0.0.1:8080/ " in text
    assert "127.0.0.1:8001" in text
    stream.truncate(0)
    Report(stream, verbose=False).summary(options, [model], ["b"])
    assert "http://127.0.0.1:8080/models/a " in stream.getvalue()
    assert "(not loaded: b)" in stream.getvalue()

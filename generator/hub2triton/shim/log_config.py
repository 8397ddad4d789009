"""How what the shim's libraries log is written."""

from __future__ import annotations

import copy
import logging
import traceback
from typing import Any

from uvicorn.config import LOGGING_CONFIG

from hub2triton.log_format import LogFormat
from hub2triton.log_line import Severity, line


def of(log_format: LogFormat) -> dict[str, Any]:
    """The configuration of Python's logging, as `logging.config.dictConfig` takes it."""
    if log_format is LogFormat.TEXT:
        return copy.deepcopy(LOGGING_CONFIG)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["json"], "level": "WARNING"},
    }


class JsonFormatter(logging.Formatter):
    """Writes a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        severity = Severity.INFO
        if record.levelno >= logging.WARNING:
            severity = Severity.ERROR if record.levelno >= logging.ERROR else Severity.WARNING
        more = {"logger": record.name, **_raised(record)}
        return line(severity, "shim", record.getMessage().strip(), **more).decode().rstrip("\n")


def _raised(record: logging.LogRecord) -> dict[str, str]:
    """Where an exception was raised and of which kind it is; its text could hold words of a payload."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    kind, _, frames = record.exc_info
    return {"exception": kind.__name__, "frames": "".join(traceback.format_tb(frames))}

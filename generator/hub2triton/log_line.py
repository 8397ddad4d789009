"""A log that programs read: each thing that happens is one line of JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import Enum

import orjson


class Severity(Enum):
    """How grave a line is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def line(severity: Severity, source: str, message: str, **more: object) -> bytes:
    """One line, with its newline, which it has nowhere else: JSON escapes all control characters.

    Args:
        severity: How grave it is.
        source: Who tells it: serve-repo, triton, model or shim.
        message: What happened.
        more: Further fields; JSON values.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    content = {"time": now, "level": severity.value, "source": source, "message": message, **more}
    try:
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half of a surrogate pair, which Python's strings can hold and UTF-8 cannot
        return json.dumps(content, default=str).encode() + b"\n"

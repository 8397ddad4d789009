r"""Triton's log, and what its models print, read line by line.

A line of Triton 2.51 is `I1123 13:45:56.106626 4237 model_lifecycle.cc:472] "loading: bad:1"`: level, date, time,
process, place, text in quotes with JSON's escapes. Three kinds of text are not quoted and span lines: tables, what a
stub process logs before it is connected, and everything models print by themselves.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

_HEADER = re.compile(r"([IWEFV])\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ ([^\s\]]+):\d+\] ?(.*)", re.DOTALL)
_PROTOBUF = re.compile(r"\[libprotobuf (\w+) [^\]]*\] (.*)")
TABLE = ("+-", "| ")
# Lines of Triton's that look like a model's.
_PLAIN = re.compile(r"Signal \(\d+\) received\.|Error: Failed to initialize NVML")


class Level(Enum):
    """How grave a line is; OUTPUT is what a model printed, of no level."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    FATAL = "FATAL"
    OUTPUT = ""


class Writer(Enum):
    """Who wrote a line."""

    TRITON = "triton"
    MODEL = "model"


@dataclass(frozen=True)
class Record:
    """One entry of the log.

    Attributes:
        place: The source file that logged it; empty for plain output.
        text: Without header, quotes and escapes; may span lines.
    """

    writer: Writer
    level: Level
    place: str
    text: str


_LEVELS = {"I": Level.INFO, "V": Level.INFO, "W": Level.WARN, "E": Level.ERROR, "F": Level.FATAL}


class LogReader:
    """Turns lines into records; it remembers what a line without a header belongs to."""

    def __init__(self) -> None:
        self._open: Record | None = None

    def read(self, line: str) -> Record | None:
        """The record of one line, without its newline; None for an empty one."""
        header = _HEADER.match(line)
        if header:
            return self._headed(*header.groups())
        protobuf = _PROTOBUF.match(line)
        if protobuf:
            self._open = None
            level = Level.ERROR if protobuf[1] in ("ERROR", "FATAL") else Level.WARN
            return Record(Writer.TRITON, level, "libprotobuf", protobuf[2])
        if not line.strip():
            return None
        if _PLAIN.fullmatch(line):
            return Record(Writer.TRITON, Level.INFO, "", line)
        if self._open and self._continues(line):
            return Record(self._open.writer, self._open.level, self._open.place, line)
        self._open = None
        return Record(Writer.MODEL, Level.OUTPUT, "", line)

    def _headed(self, letter: str, place: str, text: str) -> Record:
        quoted = text.startswith('"')
        writer = Writer.MODEL if place.endswith(".py") else Writer.TRITON
        record = Record(writer, _LEVELS[letter], place, _unquote(text) if quoted else text.strip())
        self._open = None if quoted else record
        return record

    def _continues(self, line: str) -> bool:
        """Whether a line without a header belongs to the record before it: a table, or the frames of an exception."""
        if self._open is None:
            return False
        if not self._open.text:
            return line.startswith(TABLE)
        return line == "At:" or line.startswith("  ")


def _unquote(text: str) -> str:
    try:
        # Triton writes control characters it has no escape for as they are, hence not strict.
        value = json.loads(text, strict=False)
    except ValueError:
        return text.strip('"')
    return value if isinstance(value, str) else text

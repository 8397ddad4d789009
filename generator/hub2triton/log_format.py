"""How the servers write what they tell."""

from __future__ import annotations

from enum import Enum


class LogFormat(Enum):
    """For people, or for programs, which get a JSON object a line."""

    TEXT = "text"
    JSON = "json"

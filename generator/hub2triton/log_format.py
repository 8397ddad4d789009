"""How the servers write what they tell."""

from __future__ import annotations

import argparse
from enum import Enum


class LogFormat(Enum):
    """For people, or for programs, which get a JSON object a line."""

    TEXT = "text"
    JSON = "json"

    @classmethod
    def read(cls, text: str) -> LogFormat:
        """What the text of a flag, or of the variable that mirrors it, stands for.

        Raises:
            argparse.ArgumentTypeError: For nothing that is known.
        """
        try:
            return cls(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither text nor json") from None

"""What the text of a flag, or of the variable that mirrors it, stands for; else argparse.ArgumentTypeError."""

from __future__ import annotations

import argparse
import contextlib
import math

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})
_LAST_PORT = 65535


def port(text: str) -> int:
    """A port number."""
    try:
        number = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number") from error
    if not 1 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port lies between 1 and {_LAST_PORT}")
    return number


def seconds(text: str) -> float:
    """A time, 0 or more."""
    with contextlib.suppress(ValueError):
        if 0 <= (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def number(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def duration(text: str) -> float:
    """A time that is not over at once."""
    with contextlib.suppress(ValueError):
        if 0 < (length := float(text)) < math.inf:
            return length
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")


def level(text: str) -> int:
    """How hard to compress."""
    if text not in set("0123456789"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a level from 0 to 9")
    return int(text)


def boolean(text: str) -> bool:
    """A switch."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise argparse.ArgumentTypeError("a switch is 1 or 0")

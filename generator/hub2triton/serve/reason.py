"""Why a model does not load, in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hub2triton import model_config

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = re.compile(r"load failed for model '[^']*': version \d+ is at UNAVAILABLE state: ")
_CODE = re.compile(r"(Internal|Invalid argument|Unknown|Not found|Unavailable|Unsupported|Already exists): ")
_FRAMES = re.compile(r"\n+At:\n.*", re.DOTALL)
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning)\b")
_DEAD = re.compile(r"Stub process '[^']*' is not healthy")


def one_line(message: str) -> str:
    """The line of Triton's message that says what is wrong.

    Args:
        message: The text of the repository API's error, or of its index.
    """
    text = full_text(message)
    if _DEAD.search(text):
        return "its process ended while loading: killed for memory, or crashed in a library"
    lines = [line.strip() for line in _FRAMES.sub("", text).splitlines() if line.strip()]
    if not lines:
        return "Triton gives no reason"
    if _TRACEBACK in text:
        exceptions = [line for line in lines if _EXCEPTION.match(line)]
        return (exceptions or lines)[-1]
    # Some libraries start their message on the line after the exception's name.
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def full_text(message: str) -> str:
    """Triton's message without the words that every such message starts with."""
    text = _CODE.sub("", _PREFIX.sub("", message), count=1)
    return text.rstrip().removesuffix(";").rstrip()


def config_error(config: Path) -> str | None:
    """What is wrong with the syntax of a config.pbtxt; None if nothing is.

    Triton only answers that it could not poll the model, and logs the parser's words without saying of which file.
    """
    try:
        model_config.parse(config.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:  # what is not UTF-8 is a ValueError too
        return f"{config.name} {error}"
    return None

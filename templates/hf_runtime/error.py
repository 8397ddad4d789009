"""What a model raises when the caller, not the model, is at fault; and what is logged where it is the model."""

from __future__ import annotations

import os
import traceback


class InvalidInput(ValueError):  # noqa: N818 (it names what the caller sent, and reads so at every raise)
    """The caller's tensors or parameters cannot be answered; the text goes to the caller as it is.

    Triton answers it with INVALID_ARGUMENT (HTTP 400); requests that share a batch are not touched.
    """


TEXTS = "HUB2TRITON_LOG_ERROR_TEXTS"
"""With 1 in this environment variable, what exceptions say is logged too, for whoever writes a handler."""


def trace(error: BaseException) -> str:
    """Of which kind an exception is and where it was raised, for the log.

    Without what it says, which may repeat what a caller sent, be it a text or a key of a dictionary.
    """
    if os.environ.get(TEXTS) == "1":
        return "".join(traceback.format_exception(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    first = f"{trace(before)}\nThen:\n" if before else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{first}Traceback (most recent call last):\n{frames}{type(error).__name__}"

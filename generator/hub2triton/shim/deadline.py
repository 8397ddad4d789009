"""How long a caller waits for an answer: a request that is not answered by then is taken back from Triton."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hub2triton.shim.failure import Invalid, TimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

HEADER = "x-request-timeout"
"""Seconds; no longer than the shim's own limit."""


@asynccontextmanager
async def kept(request: Request, limit_s: float) -> AsyncIterator[None]:
    """Cancels what is done inside when the time is over.

    Args:
        request: Its header may set a shorter time.
        limit_s: Seconds that any request may take.

    Raises:
        Invalid: The header holds no number of seconds.
        TimedOut: The time is over.
    """
    seconds = min(limit_s, _asked(request.headers.get(HEADER), limit_s))
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TimedOut(f"the answer was not ready after {seconds:g} seconds, and is no longer worked on") from None


def _asked(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:  # not a number either
        raise Invalid(f"the header {HEADER} must be a number of seconds above 0, not {text!r}")
    return seconds

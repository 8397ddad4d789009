"""Callers who are told that there is no room, and ask again at once: they wait for the time that they were told."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from hub2triton.shim.failure import RETRY_AFTER_S

if TYPE_CHECKING:
    from starlette.datastructures import Address

SPREAD = 0.5
"""What is at random added to the time, as a part of it: hundreds who were refused together would else be again."""

MOST = 10_000
"""Connections that are remembered before it is looked which of them may be forgotten."""


class Refusals:
    """When each connection was last told so.

    The first refusal is quick, so that its caller can go elsewhere. A further one on the same connection comes no
    earlier than Retry-After had said: hundreds of callers who ask without a rest would else leave no time for anything.
    """

    def __init__(self) -> None:
        """Begins with nobody refused."""
        self._last: dict[Address, float] = {}

    async def told(self, client: Address | None) -> None:
        """Returns when a caller may be refused.

        Args:
            client: The caller's address and port; None where it is not known.
        """
        if client is None:
            return
        rest = RETRY_AFTER_S * random.uniform(1, 1 + SPREAD)  # noqa: S311  # no secret
        await asyncio.sleep(self._last.get(client, float("-inf")) + rest - time.monotonic())
        now = self._last[client] = time.monotonic()
        if len(self._last) > MOST:
            self._last = {known: last for known, last in self._last.items() if now - last < RETRY_AFTER_S}

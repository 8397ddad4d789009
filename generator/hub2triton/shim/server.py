"""The HTTP server of the shim, which bounds what callers may cost it and stops in order."""

from __future__ import annotations

import contextlib
import functools
import resource
import time
from typing import TYPE_CHECKING, Any

import uvicorn

from hub2triton.shim.connection import Connection
from hub2triton.shim.framing import Limits

if TYPE_CHECKING:
    from types import FrameType

    from hub2triton.shim.app import Shim

GRACE_S = 2
"""How long answers that are already there may take on their way to slow callers when the server stops."""

FILES = 256
"""Files that may be open besides the connections."""


class Server(uvicorn.Server):
    """Told to stop, it first refuses new requests, and says so of its health, until those it has are answered.

    uvicorn's own way closes the port at once: callers and load balancers would get no answer instead of a 503.
    """

    def __init__(self, config: uvicorn.Config, shim: Shim, drain_s: float, limits: Limits | None = None) -> None:
        """Stops within `drain_s` seconds, whatever is still under way then.

        Args:
            config: uvicorn's; what it says of the protocol is replaced.
            shim: Whose requests are waited for.
            drain_s: As above.
            limits: Of what a connection may cost; None for the usual ones.
        """
        limits = limits or Limits()
        # uvicorn just calls it.
        protocol: Any = functools.partial(Connection, limits=limits, on_refused=shim.refused, turns=shim.turns)
        config.http, config.ws = protocol, "none"
        _allow_files(limits.connections + FILES)
        super().__init__(config)
        self._shim = shim
        self._drain_s = drain_s
        self._until = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """A signal: the first ends it in order, the second at once."""
        if self._shim.stopping:
            self.should_exit = self.force_exit = True
        else:
            self._until = time.monotonic() + self._drain_s
            self._shim.stopping = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to close the port now; uvicorn asks ten times a second."""
        idle = self._shim.metrics.in_flight == 0 and not self._shim.turns.waiting
        done = idle or time.monotonic() >= self._until
        self.should_exit = self.should_exit or (self._shim.stopping and done)
        return await super().on_tick(counter)


def _allow_files(count: int) -> None:
    """Lets this process have so many files open, as far as the system does: with too few, connections hang unread."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then the connections beyond the old limit wait
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""A caller's connection, which must not cost more than the caller's own effort: there is a clock on sloth.

uvicorn waits for ever for headers that do not come, for the rest of a body, and for a caller to read its answer.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any

from hub2triton.shim.failure import NotReady, TooSlow
from hub2triton.shim.framing import Framing
from hub2triton.shim.turns import Turns

if TYPE_CHECKING:
    import asyncio

SLOWEST = 16 * 1024
"""Bytes a second that a caller must send or read on average, once the time that it may rest is over."""

HELD = 128 * 1024
"""Bytes of an answer that the system takes before the caller does: with its usual megabytes, one who reads slowly could
not be told from one who does not."""

BRIEF = b"GET "
"""What asks for no more than the health and its like, and is answered before requests that take their turns."""


class Connection(Framing):
    """A connection whose caller keeps it going, or loses it."""

    def __init__(self, *given: Any, turns: Turns | None = None, **more: Any) -> None:
        """Takes uvicorn's own arguments, the limits, and what all connections of a server take their turns of."""
        super().__init__(*given, **more)
        self._turns = turns or Turns()
        self._began = 0.0  # when the body did
        self._unsent = 0  # bytes of answers, when they were last looked at
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        link = transport.get_extra_info("socket")
        if link is not None and link.family in (socket.AF_INET, socket.AF_INET6):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HELD)
        if len(self.connections) > self.limits.connections:
            self.refuse(NotReady(f"the server has {self.limits.connections} connections open; come back later"))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock on the answer."""
        super().connection_lost(exc)
        if self._sending is not None:
            self._sending.cancel()

    def data_received(self, data: bytes) -> None:
        """Takes what has come; a new request is not even looked at before its turn."""
        if self._within() or data.startswith(BRIEF) or self._turns.now():
            self._take(data)
            return
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        self._turns.later(functools.partial(self._take_held, data))

    def _within(self) -> bool:
        """Whether what comes now belongs to a request that has begun, or stands in a row behind one."""
        return bool(self.untold) or not self.in_head or (self.cycle is not None and not self.cycle.response_complete)

    def _take_held(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Parses what has come, and waits for the rest."""
        super().data_received(data)
        if self.refused or self.receiving is not None:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()  # or for the end of a body that nobody reads
        elif self.cycle.more_body:
            self._began = self.loop.time()
            self.receiving = self.loop.call_later(self.limits.rest_s, self._check_body)

    def pause_writing(self) -> None:
        """An answer is too long for the caller to have taken it at once."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        """The caller has taken what there was."""
        super().resume_writing()
        self._watch_answer()

    def on_response_complete(self) -> None:
        """An answer is on its way."""
        super().on_response_complete()
        self._watch_answer()
        if not self.in_head and self.cycle.response_complete:  # its body was not read to the end, and will not be
            self.stop_receiving()
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self.receiving = self.loop.call_later(self.limits.head_s, self._check_head)

    def _check_head(self) -> None:
        self.receiving = None
        if self.untold and self.in_head:
            self.refuse(TooSlow(f"the headers did not come within {self.limits.head_s:g} seconds; send them at once"))
        else:  # nothing was asked, or what comes is the rest of something that has its answer
            self.drop()

    def _check_body(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:  # the application has not taken yet what is there
            self._began = now - self.received / SLOWEST
        left = self._began + self.limits.rest_s + self.received / SLOWEST - now
        if left > 0:
            self.receiving = self.loop.call_later(left, self._check_body)
            return
        self.receiving = None
        told = f"{self.received:,} bytes of the body in {now - self._began:.0f} seconds are too few"
        self.refuse(TooSlow(f"{told}; send it faster, or in several requests"))

    def _watch_answer(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent:
            self._sending = self.loop.call_later(self.limits.rest_s, self._check_answer)

    def _check_answer(self) -> None:
        taken = self._unsent - self.transport.get_write_buffer_size()
        if taken < min(self._unsent, SLOWEST * self.limits.rest_s):
            self.drop()
        else:
            self._watch_answer()

"""One model of the repository: loaded, watched, and loaded again when its process dies, hangs or grows too large."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from typing import TYPE_CHECKING

from tritonclient.utils import InferenceServerException

from hub2triton.serve import guard, reason
from hub2triton.serve.backoff import STABLE, Backoff
from hub2triton.serve.control import LoadError, ServerGoneError
from hub2triton.serve.limits import Excess, Limits
from hub2triton.serve.restarts import Restart
from hub2triton.serve.stub import Life
from hub2triton.shim.model import GIVEN_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub2triton.serve.control import Control
    from hub2triton.serve.report import Report
    from hub2triton.serve.repository import ModelDirectory
    from hub2triton.serve.stub import Stub

# Seconds that the other instances of a model have to answer what they are computing, before they are killed with it.
_SIBLING_GRACE = 0.3


class State(Enum):
    """What a model is doing."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    UNLOADED = "unloaded"


class ServedModel:
    """A model that is kept loaded."""

    def __init__(
        self,
        directory: ModelDirectory,
        control: Control,
        report: Report,
        region_prefix: str,
        logged: Callable[[str], str | None],
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """Starts with nothing loaded.

        Args:
            directory: Where the model is.
            control: The server to load it into.
            report: Told of everything that happens.
            region_prefix: How the shared memory regions of this run start.
            logged: The last error that Triton logged about the model of a name.
            limits: What its processes may do before they are replaced, and how often they are.
        """
        self.name = directory.name
        self.state = State.LOADING
        self.served = False  # whether it has been ready at any time, and is worth further attempts
        self.directory = directory
        self._control = control
        self._report = report
        self._region_prefix = region_prefix
        self._logged = logged
        self._stubs: list[Stub] = []
        self._suspects: set[int] = set()
        self._backoff = Backoff()
        self._restarts = limits.restarts
        self._excess = Excess(limits)

    @property
    def given_up(self) -> bool:
        """Whether it does not serve, and nothing is done about it any more."""
        return self.state is State.FAILED and not self.served

    def add(self, stub: Stub) -> None:
        """Takes note of a process that runs this model."""
        self._stubs.append(stub)

    async def load(self, discover: Callable[[], None], retry: float | None = None) -> bool:
        """Loads the model and reports how that went.

        Args:
            discover: Called when it is loaded, to learn its processes before one of them can die unseen.
            retry: Seconds until the next attempt if this one fails, for the report.
        """
        self.state = State.LOADING
        self._report.loading(self.name)
        try:
            await self._control.load(self.name)
        except ServerGoneError:
            self._report.cancelled(self.name)
            return False
        except LoadError as error:
            self.state = State.FAILED
            text = self._reason(str(error))
            self._report.failed(self.name, reason.one_line(text), reason.full_text(text), retry)
            return False
        except asyncio.CancelledError:
            self._report.cancelled(self.name)
            raise
        await self._loaded(discover, ())
        self._backoff.started()
        return True

    async def dead_stub(self, discover: Callable[[], None]) -> Stub | None:
        """A process of this model that died by itself, or None; forgets those that Triton ended.

        Cheap while all are alive. A zombie must be seen twice, for one that Triton unloads is a zombie for a moment.
        """
        if (self.state is State.UNLOADED or self.given_up) and await self._reloaded():
            self.state = State.READY
            self.served = True
        if self.state is not State.READY or all(stub.life() is Life.ALIVE for stub in self._stubs):
            return None
        discover()
        lives = {stub.pid: stub.life() for stub in self._stubs}
        for stub in [stub for stub in self._stubs if lives[stub.pid] is not Life.ALIVE]:
            if lives[stub.pid] is Life.ZOMBIE and stub.pid not in self._suspects:
                self._suspects.add(stub.pid)
            elif await self._missed(reaped=lives[stub.pid] is Life.GONE, others_alive=Life.ALIVE in lives.values()):
                return stub
            else:
                self._stubs.remove(stub)
                self._suspects.discard(stub.pid)
        return None

    async def kill_hung(self) -> str:
        """Kills the processes that have been at one execution for too long; says why, where none can ever be found."""
        if self.state is not State.READY:
            return ""
        with contextlib.suppress(InferenceServerException):
            for stub in await self._excess.hung(self._stubs, lambda: self._control.executions(self.name)):
                told = f"is at one execution for {self._excess.limits.execution:g} s (--hang-timeout); killed"
                self._report.note(f"hung    {self.name}: its process {stub.pid} {told}")
                stub.kill()
        return self._excess.blind

    def busy(self) -> bool:
        """Whether one of its processes is at an execution, or comes to its end."""
        living = [stub for stub in self._stubs if stub.life() is Life.ALIVE]
        return self.state is State.READY and not all(stub.waits() for stub in living)

    def grown_stub(self) -> Stub | None:
        """A process that holds more memory than it may; None for some time after a replacement."""
        return self._excess.grown(self._stubs) if self.state is State.READY else None

    async def replace(self, grown: Stub, discover: Callable[[], None]) -> None:
        """Loads the model beside itself; the old process answers until the new one can, and what it has begun."""
        held = f"{grown.memory()} MiB, more than {self._excess.limits.memory} (--model-memory)"
        self._report.note(f"grown   {self.name}: its process {grown.pid} holds {held}; replacing it")
        self.state = State.LOADING
        old = tuple(self._stubs)
        replaced: tuple[Stub, ...] = ()
        self._report.loading(self.name)
        try:
            await self._control.replace(self.name)
        except LoadError as error:
            self._report.failed(self.name, f"{reason.one_line(str(error))}; the old process goes on", str(error))
        except asyncio.CancelledError:
            self._report.cancelled(self.name)
            raise
        else:
            await self._loaded(discover, old)
            self._report.restarted(self.name, Restart.GROWN)
            replaced = old
        self._excess.replaced(replaced)
        self.state = State.READY

    async def repair(self, dead: Stub, discover: Callable[[], None]) -> None:
        """Loads the model again after one of its processes has died."""
        self._report.note(f"died    {self.name}: its process {dead.pid} is gone; loading the model again")
        self._report.restarted(self.name, Restart.HUNG if self._excess.hanged(dead) else Restart.DIED)
        await self.restore(discover)

    async def restore(self, discover: Callable[[], None]) -> None:
        """Unloads and loads the model until it serves again; between attempts it waits ever longer.

        After as many in a row as it may have, it is given up: what ends as soon as it has begun would do so for ever.
        """
        self._backoff.died()
        self.state = State.LOADING
        # A server that has gone fails every load, and is no reason to give up a model.
        while self._backoff.attempts < self._restarts or not await self._control.live():
            if await self._attempt(discover):
                return
        await self._give_up()

    def lose(self) -> None:
        """Forgets its processes, which have gone with their server."""
        if self.state is State.READY:
            self.state = State.LOADING
        self._stubs.clear()
        self._suspects.clear()
        self._excess.forget()

    async def _attempt(self, discover: Callable[[], None]) -> bool:
        await self._backoff.wait()
        self.state = State.LOADING
        # Load alone does nothing for a model that Triton holds to be READY.
        with contextlib.suppress(InferenceServerException):
            await self._control.unload(self.name)
        await self._bury()
        return await self.load(discover, self._backoff.delay if self._backoff.attempts < self._restarts else None)

    async def _give_up(self) -> None:
        """Leaves it unloaded, and says so here and through Triton to whoever asks for it."""
        if self.state is State.LOADING:  # after a load that failed, Triton has its reason to tell
            with contextlib.suppress(InferenceServerException):
                await self._control.unload(self.name)
            await self._bury()
            await self._control.refuse(self.name, GIVEN_UP)
        self.state = State.FAILED
        self.served = False
        tried = f"loaded again {self._restarts} times in a row, in vain or for less than {STABLE:g} s each time"
        why = f"given up (--max-model-restarts): {tried if self._restarts else 'its process has died'}"
        self._report.failed(self.name, f"{why}. Mend what is told above, and start serve-repo again", why)

    async def _loaded(self, discover: Callable[[], None], old: Sequence[Stub]) -> None:
        discover()
        new = [stub for stub in self._stubs if stub not in old]
        await self._excess.loaded(new)
        self.state = State.READY
        self.served = True
        self._report.ready(self.name)
        large = self._excess.large_from_the_start(new)
        if large:
            held = f"holds {large.memory()} MiB, more than {self._excess.limits.memory}"
            self._report.note(f"large   {self.name}: just loaded it {held}; raise --model-memory to limit it")

    def _reason(self, text: str) -> str:
        """What Triton says of a failed load, or knows only in its log."""
        if "failed to poll" not in text:
            return text
        # Only now: a configuration with fields newer than this client's is no error if Triton takes it.
        return reason.config_error(self.directory.config) or self._logged(self.name) or text

    async def _reloaded(self) -> bool:
        """Whether somebody has loaded a model again that was unloaded through the repository API."""
        if not any(stub.life() is Life.ALIVE for stub in self._stubs):
            return False
        with contextlib.suppress(InferenceServerException):
            return (await self._control.entry(self.name)).state == "READY"
        return False

    async def _missed(self, *, reaped: bool, others_alive: bool) -> bool:
        """Whether Triton still counts on a process that has ended."""
        try:
            entry = await self._control.entry(self.name)
            if entry.state != "READY":
                # Unloaded through the repository API by somebody else, whose wish it stays.
                if entry.state in ("UNAVAILABLE", "UNLOADING"):
                    self.state = State.UNLOADED
                return False
            # Triton 2.51 never reaps a stub that died. A later one may; then it says that the model is not ready.
            return not reaped or not others_alive or not await self._control.model_ready(self.name)
        except InferenceServerException:
            return False

    async def _bury(self) -> None:
        """Ends what is left of the processes of a model that was unloaded because one of them died.

        Triton waits for the dead one for ever, and never ends its siblings, which would keep their memory.
        """
        stubs, self._stubs = self._stubs, []
        self._suspects.clear()
        if any(stub.life() is Life.ALIVE for stub in stubs):
            await asyncio.sleep(_SIBLING_GRACE)
        for stub in stubs:
            stub.kill()
            if stub.region.startswith(self._region_prefix):
                (guard.SHARED_MEMORY / stub.region).unlink(missing_ok=True)

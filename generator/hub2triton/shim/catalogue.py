"""The models that can be asked, kept fresh, and which one a request means."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hub2triton.shim.failure import ModelFailed, NotReady, Unknown
from hub2triton.shim.model import GIVEN_UP, Model, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hub2triton.shim.triton import Triton
    from hub2triton.tasks.spec import TaskSpec

FRESH_S = 1.0
"""How long what Triton said of its models is believed."""

OLD = 2
"""So many times as old, it is still told to those who ask while Triton is asked anew: on a busy machine that takes a
while, and nobody has to wait for it."""

HOLD_S = 1.0
"""How long a request for a model that is being loaded is held before it is refused. Some clients repeat a
refused request at once and without end; this slows them to one request a second."""

POLL_S = 0.1

NOTICED_S = 0.5
"""After so long, a model whose process died is no longer listed as ready, if somebody watches it."""


@dataclass(frozen=True)
class Wanted:
    """Which model a request means.

    Attributes:
        name: The model's name or its Hub id; None where the request does not say.
        certain: Whether there must be a model of that name. Clients of some protocols send any name.
        fits: Whether a model of a task can answer; None where each can.
        what: What such a model can do, for the error where there is none.
    """

    name: str | None = None
    certain: bool = True
    fits: Callable[[TaskSpec], bool] | None = None
    what: str = ""


class Catalogue:
    """What Triton serves. It learns everything from Triton itself, so it can stand before any server."""

    def __init__(self, triton: Triton) -> None:
        self._triton = triton
        self._models: dict[str, Model] = {}
        self._read_at = float("-inf")
        self._failed_at = float("-inf")
        self._refusal = ""
        self._reading = asyncio.Lock()
        self._refreshing: asyncio.Task[dict[str, Model]] | None = None

    async def models(self, *, fresh: bool = False) -> dict[str, Model]:
        """All models by name; asks Triton again when the last answer is old, or `fresh` is set.

        Raises:
            NotReady: Triton does not answer.
        """
        age = time.monotonic() - self._read_at
        if fresh or age >= FRESH_S * OLD:
            return await self._read(fresh=fresh)
        if age >= FRESH_S and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.ensure_future(self._read(fresh=False))
            # A failure is told to whoever asks next.
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._models

    async def _read(self, *, fresh: bool) -> dict[str, Model]:
        """What Triton says now."""
        asked_at = time.monotonic()
        async with self._reading:
            if self._failed_at >= asked_at:  # nobody waits for the patience of those before them as well
                raise NotReady(self._refusal)
            if self._read_at < asked_at:  # nobody else has read it while this one waited
                try:
                    self._models = await self._triton.models(self._models, fresh=fresh)
                except NotReady as error:
                    self._read_at = float("-inf")  # what it said before holds no longer
                    self._failed_at, self._refusal = time.monotonic(), str(error)
                    raise
                self._read_at = time.monotonic()
        return self._models

    async def ready(self, wanted: Wanted) -> Model:
        """The model that is wanted; waits a while for one that is being loaded.

        Raises:
            Unknown: No such model, or no way to tell which of several.
            NotReady: It is still being loaded, or Triton does not answer.
            ModelFailed: It could not be loaded.
        """
        deadline = time.monotonic() + HOLD_S
        fresh = False
        while True:
            refusal: NotReady
            try:
                model = self._choose(await self.models(fresh=fresh), wanted)
                if model.state is State.READY:
                    return model
                if model.state is State.FAILED:
                    raise ModelFailed(f"the model {model.name!r} could not be loaded: {first_line(model.reason)}")
                again = " again" if model.state is State.RECOVERING else ""
                refusal = NotReady(f"the model {model.name!r} is being loaded{again}")
            except NotReady as error:
                refusal = error
            except Unknown:
                if fresh:
                    raise
                fresh = True  # it may have been loaded since
                continue
            if time.monotonic() > deadline:
                try:
                    raise refusal
                finally:
                    del refusal  # whose traceback holds this frame: see transport.unless_gone
            await asyncio.sleep(POLL_S)
            fresh = True

    async def again(self, model: Model) -> Model | None:
        """A model that was ready and yet could not be asked, once it can be; None where that is not in time.

        It is waited for as long as for one that is being loaded.
        """
        began = time.monotonic()
        down = False
        while (held := time.monotonic() - began) < HOLD_S:
            await asyncio.sleep(POLL_S)
            try:
                found = (await self.models(fresh=True)).get(model.name)
            except NotReady:
                found = None
            if found is None or found.state is not State.READY:
                down = True
            elif down or held >= NOTICED_S:
                return found
        return None

    def lost(self) -> dict[str, Model]:
        """The models that Triton last told of, as they are while it does not answer."""
        return {
            name: replace(model, state=State.RECOVERING if model.spec else State.LOADING)
            for name, model in self._models.items()
        }

    def _choose(self, models: dict[str, Model], wanted: Wanted) -> Model:
        if not models:
            raise NotReady("no model is loaded yet")
        # What a model can do is known once it has been ready.
        fitting = [model for model in models.values() if not (wanted.fits and model.spec) or wanted.fits(model.spec)]
        for model in fitting:
            if wanted.name in (model.name, model.model_id):
                return model
        if wanted.name is not None and wanted.certain:
            raise Unknown(f"there is no model {wanted.name!r}; the models are: {_listed(models.values())}")
        if not fitting:
            raise Unknown(f"none of the models {wanted.what}; the models are: {_listed(models.values())}")
        if len(fitting) == 1:
            return fitting[0]
        if wanted.name is not None:
            raise Unknown(f"there is no model {wanted.name!r}; name one of: {_listed(fitting)}")
        raise Unknown(
            f"several models are served, so say which one: POST /models/NAME with one of {_listed(fitting)}",
            status=400,
        )


def first_line(reason: str) -> str:
    """Triton puts a whole traceback into a model's reason; its first line names the exception."""
    if GIVEN_UP in reason:
        return GIVEN_UP
    line = next((line for line in reason.splitlines() if line.strip()), "no reason given")
    return line.removeprefix("Internal: ")


def _listed(models: Iterable[Model]) -> str:
    return ", ".join(sorted(model.name for model in models))

"""The models that can be asked, kept fresh, and which one a request means."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from hub2triton.shim.failure import ModelFailed, NotReady, Unknown
from hub2triton.shim.model import Model, State

if TYPE_CHECKING:
    from hub2triton.shim.triton import Triton

FRESH_S = 1.0
"""How long what Triton said of its models is believed."""

HOLD_S = 1.0
"""How long a request for a model that is being loaded is held before it is refused. Some clients repeat a
refused request at once and without end; this slows them to one request a second."""

POLL_S = 0.1


class Catalogue:
    """What Triton serves. It learns everything from Triton itself, so it can stand before any server."""

    def __init__(self, triton: Triton) -> None:
        self._triton = triton
        self._models: dict[str, Model] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def models(self, *, fresh: bool = False) -> dict[str, Model]:
        """All models by name; asks Triton again when the last answer is old, or `fresh` is set.

        Raises:
            NotReady: Triton does not answer.
        """
        asked_at = time.monotonic()
        if not fresh and asked_at - self._read_at < FRESH_S:
            return self._models
        async with self._reading:
            if self._read_at < asked_at:  # nobody else has read it while this one waited
                self._models = await self._triton.models(self._models, fresh=fresh)
                self._read_at = time.monotonic()
        return self._models

    async def ready(self, name: str | None) -> Model:
        """The model of a name or a Hub id, or the only one; waits a while for one that is being loaded.

        Raises:
            Unknown: No such model, or no name where there are several.
            NotReady: It is still being loaded, or Triton does not answer.
            ModelFailed: It could not be loaded.
        """
        deadline = time.monotonic() + HOLD_S
        fresh = False
        while True:
            refusal: NotReady
            try:
                model = self._choose(await self.models(fresh=fresh), name)
                if model.state is State.READY:
                    return model
                if model.state is State.FAILED:
                    raise ModelFailed(f"the model {model.name!r} could not be loaded: {first_line(model.reason)}")
                refusal = NotReady(f"the model {model.name!r} is being loaded")
            except NotReady as error:
                refusal = error
            except Unknown:
                if fresh:
                    raise
                fresh = True  # it may have been loaded since
                continue
            if time.monotonic() > deadline:
                raise refusal
            await asyncio.sleep(POLL_S)
            fresh = True

    def _choose(self, models: dict[str, Model], name: str | None) -> Model:
        if not models:
            raise NotReady("no model is loaded yet")
        if name is not None:
            for model in models.values():
                if name in (model.name, model.model_id):
                    return model
            raise Unknown(f"there is no model {name!r}; the models are: {_listed(models)}")
        if len(models) > 1:
            raise Unknown(
                f"several models are served, so say which one: POST /models/NAME with one of {_listed(models)}",
                status=400,
            )
        return next(iter(models.values()))


def first_line(reason: str) -> str:
    """Triton puts a whole traceback into a model's reason; its first line names the exception."""
    line = next((line for line in reason.splitlines() if line.strip()), "no reason given")
    return line.removeprefix("Internal: ")


def _listed(models: dict[str, Model]) -> str:
    return ", ".join(sorted(models))

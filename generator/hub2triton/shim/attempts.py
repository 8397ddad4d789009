"""Requests to models, asked once more where the model's process died before it had answered."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub2triton.shim.failure import Died, NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from hub2triton.shim.catalogue import Catalogue
    from hub2triton.shim.model import Model
    from hub2triton.tasks.spec import Answer, Call

    Infer = Callable[[Model, Call], Coroutine[Any, Any, list[Answer]]]
    """Asks Triton, once; see Triton.infer."""

AGAIN_S = 30.0
"""A request that took longer is not asked once more: it may well be what its model died of."""


@dataclass(eq=False)
class _Attempt:
    """A request that Triton has not answered yet.

    Attributes:
        outcome: Once it is given up: the model to ask in place of the one that died, or why there is none.
    """

    task: asyncio.Task[list[Answer]]
    began: float
    outcome: Model | NotReady | None = None


class Attempts:
    """Asks models, and knows which requests are under way.

    Requests that wait in the queue of a model whose process has died are answered by Triton one after the other, a
    second each (2.51). With the first of them it is known what has become of the model, so the others are given up, and
    asked again at the same time as the first.
    """

    def __init__(self, catalogue: Catalogue, infer: Infer) -> None:
        """Begins with nothing under way."""
        self._catalogue = catalogue
        self._infer = infer
        self._under_way: defaultdict[str, set[_Attempt]] = defaultdict(set)

    async def answers(self, model: Model, call: Call) -> list[Answer]:
        """The answers of a model that is ready; see Triton.infer.

        Raises:
            Failure: As Triton says, the second time where the first was the model's death.
        """
        asked_again = False
        while True:
            attempt = _Attempt(asyncio.ensure_future(self._infer(model, call)), time.monotonic())
            self._under_way[model.name].add(attempt)
            try:
                return await attempt.task
            except NotReady as refusal:  # it was ready a moment ago, and will be again: no answer had begun
                found = await self._once_more(model, attempt, refusal)
                if found is None or asked_again:
                    raise
                model, asked_again = found, True
            except asyncio.CancelledError:
                if attempt.outcome is None or _cancelled():
                    raise
                if isinstance(attempt.outcome, NotReady):
                    raise attempt.outcome from None
                model = attempt.outcome  # it has only waited, so it may still be asked once more
            finally:
                self._under_way[model.name].discard(attempt)
                del attempt  # whose error's traceback holds this frame: see transport.unless_gone

    async def _once_more(self, model: Model, attempt: _Attempt, refusal: NotReady) -> Model | None:
        """The model that takes the place of one that could not be asked.

        Returns:
            None where there is none in time, or the request took too long to be asked again.
        """
        others = self._under_way[model.name] - {attempt} if isinstance(refusal, Died) else set()
        found = await self._catalogue.again(model)
        _give_up(others, found or refusal)
        return found if time.monotonic() - attempt.began <= AGAIN_S else None


def _give_up(attempts: Iterable[_Attempt], outcome: Model | NotReady) -> None:
    """Cancels those that wait for the same process, but for what it may have died of."""
    for attempt in attempts:
        if not attempt.task.done() and time.monotonic() - attempt.began <= AGAIN_S:
            attempt.outcome = outcome
            attempt.task.cancel()


def _cancelled() -> bool:
    """Whether it is the caller who has gone, or whose time is over."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

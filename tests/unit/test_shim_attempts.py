"""What becomes of requests whose model dies: those it had begun, and those that waited behind them."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from hub2triton.shim import attempts
from hub2triton.shim.attempts import Attempts
from hub2triton.shim.failure import Died, Failure, ModelFailed, NotReady
from hub2triton.shim.model import Model, State
from hub2triton.tasks.spec import Call

DEAD, NEXT = Model("m", State.READY, model_id="dead"), Model("m", State.READY, model_id="next")
OTHER = Model("n", State.READY)


class World:
    """A model that answers when it is told to, and what comes after its death."""

    def __init__(self) -> None:
        self.replacement: Model | None = NEXT
        self.asked: list[tuple[str, str]] = []
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.attempts = Attempts(self, self.infer)  # type: ignore[arg-type]

    async def again(self, _model: Model) -> Model | None:
        await asyncio.sleep(0)
        return self.replacement

    async def infer(self, model: Model, call: Call) -> list[Any]:
        text = str(call.rows[0]["text"])
        self.asked.append((model.model_id, text))
        if model is NEXT:
            return [{"answer": np.array([text])}]
        self.waiting[text] = asyncio.get_running_loop().create_future()
        await self.waiting[text]
        raise AssertionError("a dead model has answered")

    async def ask(self, text: str, model: Model = DEAD) -> asyncio.Task[Any]:
        """A request that is under way."""
        call = Call([{"text": text}], {}, lambda answers, _: answers)
        task = asyncio.ensure_future(self.attempts.answers(model, call))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    def fail(self, text: str, failure: Failure) -> None:
        self.waiting[text].set_exception(failure)


@pytest.fixture
def world() -> World:
    return World()


async def outcomes(*tasks: asyncio.Task[Any]) -> list[Any]:
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    return [each if isinstance(each, BaseException) else str(each[0]["answer"][0]) for each in found]


async def test_all_that_waited_behind_the_first_are_asked_again_with_it(world: World) -> None:
    tasks = [await world.ask(text) for text in ("a", "b", "c")]
    world.fail("a", Died("dead"))
    assert await outcomes(*tasks) == ["a", "b", "c"]
    assert sorted(world.asked) == [(model, text) for model in ("dead", "next") for text in "abc"]
    assert not any(world.attempts._under_way.values())


async def test_requests_to_other_models_go_on(world: World) -> None:
    other = await world.ask("x", OTHER)
    first = await world.ask("a")
    world.fail("a", Died("dead"))
    assert await outcomes(first) == ["a"]
    assert not other.done()
    other.cancel()
    assert isinstance((await outcomes(other))[0], asyncio.CancelledError)


async def test_where_nothing_takes_its_place_all_are_told_at_once(world: World) -> None:
    tasks = [await world.ask(text) for text in ("a", "b")]
    world.replacement, refusal = None, Died("dead")
    world.fail("a", refusal)
    assert await outcomes(*tasks) == [refusal, refusal]
    assert len(world.asked) == 2


async def test_a_request_that_dies_twice_is_refused_while_one_that_waited_twice_is_not(world: World) -> None:
    deadly, behind = [await world.ask(text) for text in ("deadly", "behind")]
    world.replacement = DEAD  # the next one is deadly's too
    world.fail("deadly", Died("first"))
    await asyncio.sleep(0.01)
    world.replacement = NEXT
    world.fail("deadly", Died("second"))
    told = await outcomes(deadly, behind)
    assert str(told[0]) == "second"
    assert told[1] == "behind"


async def test_a_server_that_does_not_answer_is_no_reason_to_give_others_up(world: World) -> None:
    first, other = [await world.ask(text) for text in ("a", "b")]
    world.fail("a", NotReady("Triton does not answer"))
    assert await outcomes(first) == ["a"]
    assert not other.done()
    world.fail("b", ModelFailed("no idea"))
    assert isinstance((await outcomes(other))[0], ModelFailed)


async def test_what_took_long_may_be_the_cause_and_is_neither_asked_again_nor_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = [await world.ask(text) for text in ("a", "b")]
    monkeypatch.setattr(attempts, "AGAIN_S", 0.0)
    world.fail("a", Died("dead"))
    assert [str(each) for each in await outcomes(first)] == ["dead"]
    assert not other.done()
    world.fail("b", Died("dead"))
    assert [str(each) for each in await outcomes(other)] == ["dead"]


async def test_a_caller_who_leaves_is_not_taken_for_one_that_was_given_up(world: World) -> None:
    first, gone = [await world.ask(text) for text in ("a", "gone")]
    world.fail("a", Died("dead"))
    gone.cancel()
    told = await outcomes(first, gone)
    assert told[0] == "a"
    assert isinstance(told[1], asyncio.CancelledError)
    assert ("next", "gone") not in world.asked


async def test_a_time_that_is_over_ends_it(world: World) -> None:
    async def bounded() -> Any:
        async with asyncio.timeout(0.02):
            return await world.attempts.answers(DEAD, Call([{"text": "slow"}], {}, lambda answers, _: answers))

    assert isinstance((await outcomes(asyncio.ensure_future(bounded())))[0], TimeoutError)
    assert world.waiting["slow"].cancelled()
    assert not any(world.attempts._under_way.values())

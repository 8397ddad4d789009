"""Who begins when, where many come at once."""

from __future__ import annotations

import asyncio

from hub2triton.shim.turns import Turns


async def test_a_few_begin_in_each_turn_of_the_loop_in_their_order() -> None:
    turns = Turns(at_once=3)
    begun: list[int] = []
    seen: list[int] = []

    async def request(number: int) -> None:
        await turns.wait()
        begun.append(number)

    tasks = [asyncio.ensure_future(request(number)) for number in range(10)]
    while len(begun) < 10:
        await asyncio.sleep(0)
        seen.append(len(begun))
    assert begun == list(range(10))
    assert all(after - before <= 3 for before, after in zip([0, *seen], seen, strict=False))
    await asyncio.gather(*tasks)


async def test_one_by_one_nobody_waits() -> None:
    turns = Turns(at_once=1)
    for _ in range(3):
        waiting = turns.wait()
        try:
            waiting.send(None)
        except StopIteration:
            await asyncio.sleep(0)
            continue
        raise AssertionError("it waits though nobody else does")


async def test_those_who_have_gone_take_no_turn() -> None:
    turns = Turns(at_once=1)
    tasks = [asyncio.ensure_future(turns.wait()) for _ in range(4)]
    await asyncio.sleep(0)
    for gone in tasks[1:3]:
        gone.cancel()
    await asyncio.wait_for(tasks[3], 1)
    assert [task.cancelled() for task in tasks] == [False, True, True, False]
    await asyncio.wait_for(turns.wait(), 1)

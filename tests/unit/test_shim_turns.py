"""Who begins when, where many come at once."""

from __future__ import annotations

import asyncio
from functools import partial

from hub2triton.shim.turns import Turns


async def test_a_few_begin_in_each_turn_of_the_loop_in_their_order() -> None:
    turns = Turns(at_once=3)
    begun: list[int] = []
    seen: list[int] = []
    for number in range(10):
        if turns.now():
            begun.append(number)
        else:
            turns.later(partial(begun.append, number))
    assert begun == [0, 1, 2]
    assert turns.waiting == 7
    while len(begun) < 10:
        await asyncio.sleep(0)
        seen.append(len(begun))
    assert begun == list(range(10))
    assert all(after - before <= 3 for before, after in zip([3, *seen], seen, strict=False))
    assert not turns.waiting


async def test_one_by_one_nobody_waits() -> None:
    turns = Turns(at_once=1)
    for _ in range(3):
        assert turns.now()
        await asyncio.sleep(0)


async def test_nobody_overtakes_those_who_wait() -> None:
    turns = Turns(at_once=1)
    begun: list[str] = []
    assert turns.now()
    turns.later(partial(begun.append, "second"))
    turns.later(partial(begun.append, "third"))
    await asyncio.sleep(0)
    assert begun == ["second"]
    assert not turns.now()
    await asyncio.sleep(0)
    assert begun == ["second", "third"]
    await asyncio.sleep(0)
    assert turns.now()

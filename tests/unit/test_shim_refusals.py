"""Who is refused when."""

from __future__ import annotations

import pytest
from starlette.datastructures import Address

from hub2triton.shim import refusals
from hub2triton.shim.refusals import RETRY_AFTER_S, SPREAD, Refusals

ONE, OTHER = Address("192.0.2.1", 1), Address("192.0.2.1", 2)


class Clock:
    """Time that passes by sleeping only."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refusals, "time", clock)
    monkeypatch.setattr(refusals, "asyncio", clock)
    return clock


async def seconds(refused: Refusals, clock: Clock, client: Address | None) -> float:
    began = clock.now
    await refused.told(client)
    return clock.now - began


async def test_only_who_asks_again_too_early_waits(clock: Clock) -> None:
    refused = Refusals()
    assert await seconds(refused, clock, ONE) == 0
    assert await seconds(refused, clock, OTHER) == 0
    assert await seconds(refused, clock, None) == 0
    assert RETRY_AFTER_S <= await seconds(refused, clock, ONE) <= RETRY_AFTER_S * (1 + SPREAD)
    clock.now += RETRY_AFTER_S * (1 + SPREAD)
    assert await seconds(refused, clock, ONE) == 0


async def test_those_who_were_refused_together_are_not_again(clock: Clock) -> None:
    refused = Refusals()
    clients = [Address("192.0.2.1", port) for port in range(50)]
    for client in clients:
        await refused.told(client)
    began, waits = clock.now, []
    for client in clients:
        clock.now = began
        waits.append(await seconds(refused, clock, client))
    assert max(waits) - min(waits) > RETRY_AFTER_S * SPREAD / 2


async def test_connections_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST", 10)
    refused = Refusals()
    for port in range(9):
        await refused.told(Address("192.0.2.1", port))
    clock.now += RETRY_AFTER_S * (1 + SPREAD)
    for port in range(100, 102):
        await refused.told(Address("192.0.2.1", port))
    assert {address.port for address in refused._last} == {100, 101}

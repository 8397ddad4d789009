"""Who is refused when."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.datastructures import Address

from hub2triton.shim import refusals
from hub2triton.shim.refusals import Refusals

ONE, OTHER = Address("192.0.2.1", 1), Address("192.0.2.1", 2)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "RETRY_AFTER_S", 0.2)


async def seconds(refused: Refusals, client: Address | None) -> float:
    began = time.monotonic()
    await refused.told(client)
    return time.monotonic() - began


async def test_only_who_asks_again_too_early_waits() -> None:
    refused = Refusals()
    assert await seconds(refused, ONE) < 0.1
    assert await seconds(refused, OTHER) < 0.1
    assert await seconds(refused, None) < 0.1
    assert await seconds(refused, ONE) > 0.1
    await asyncio.sleep(0.2)
    assert await seconds(refused, ONE) < 0.1


async def test_those_who_were_refused_together_are_not_again() -> None:
    refused = Refusals()
    clients = [Address("192.0.2.1", port) for port in range(50)]
    await asyncio.gather(*(refused.told(client) for client in clients))
    waits = await asyncio.gather(*(seconds(refused, client) for client in clients))
    assert max(waits) - min(waits) > 0.05


async def test_connections_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST", 10)
    refused = Refusals()
    for port in range(9):
        await refused.told(Address("192.0.2.1", port))
    await asyncio.sleep(0.25)
    for port in range(100, 102):
        await refused.told(Address("192.0.2.1", port))
    assert {address.port for address in refused._last} == {100, 101}

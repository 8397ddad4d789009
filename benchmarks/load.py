"""A closed loop of HTTP clients, and the sentences they send."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass

import aiohttp

COMMON = """
the of and to in is that for it as was with on be by this are from at or have an not which but can their will there
been one all time people would other into may some new year only two state world years any most over work city school
water house market company river garden music history science language weather morning kitchen window mountain
problem question answer number report paper teacher student doctor patient engine
"""
WORDS = COMMON.split()


@dataclass(frozen=True)
class Round:
    """What one round of load gave.

    Attributes:
        rate: Requests answered in a second.
        p50_ms: The median time of a request, in milliseconds.
    """

    rate: float
    p50_ms: float


def sentences(count: int = 512, seed: int = 0) -> list[str]:
    """Made-up English of 5 to 60 words a sentence."""
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 60))) for _ in range(count)]


async def closed_loop(url: str, texts: list[str], *, clients: int, seconds: float) -> Round:
    """Each client sends one text, waits for its answer, and sends the next; every answer must be a 200."""
    times: list[float] = []
    turn = iter(range(10**9))
    until = time.monotonic() + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while (began := time.monotonic()) < until:
            text = texts[next(turn) % len(texts)]
            async with session.post(url, json={"inputs": text}) as response:
                await response.read()
                response.raise_for_status()
            times.append(time.monotonic() - began)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.monotonic()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        took = time.monotonic() - began
    return Round(len(times) / took, statistics.median(times) * 1000)

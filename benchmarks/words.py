"""Made-up English: what the benchmark's requests hold."""

from __future__ import annotations

import random

COMMON = """
the of and to in is that for it as was with on be by this are from at or have an not which but can their will there
been one all time people would other into may some new year only two state world years any most over work city school
water house market company river garden music history science language weather morning kitchen window mountain
problem question answer number report paper teacher student doctor patient engine
"""
WORDS = COMMON.split()


def sentences(count: int = 512, seed: int = 0) -> list[str]:
    """Sentences of 5 to 60 words, about 34 tokens each."""
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 60))) for _ in range(count)]

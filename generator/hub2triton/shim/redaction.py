"""What a log may tell of an error: the sentence that the caller was told, without what he had sent."""

from __future__ import annotations

import re
from functools import cache

from hub2triton import tasks

QUOTED = re.compile(r"""(?<!\w)(?P<mark>['"])(?P<text>(?:\\.|(?!(?P=mark)).)*)(?:(?P=mark)|\Z)""", re.DOTALL)
"""What stands between quotation marks, or after one that is never closed; the apostrophe of "model's" is none."""

OWN = frozenset({"inputs", "parameters", "instances", "messages", "text", "image", "audio", "query", "question"})
HIDDEN = "…"
LONGEST = 300
"""Characters of a sentence."""

FAILED = 500


def redacted(sentence: str, status: int) -> str:
    """A sentence without the words of a payload.

    All that the servers' own sentences quote may be a caller's, except for names that are known here. The sentence of
    a model that failed ends with what its code said, which may be anything.
    """
    if status == FAILED:
        head, colon, _ = sentence.partition(":")
        sentence = f"{head}: {HIDDEN}" if colon else head
    return QUOTED.sub(_masked, sentence[: 2 * LONGEST])[:LONGEST]


def _masked(found: re.Match[str]) -> str:
    mark, text = found["mark"], found["text"]
    return f"{mark}{text if text in _names() else HIDDEN}{mark}"


@cache
def _names() -> frozenset[str]:
    """Names of parameters: to know which one was wrong helps, and tells nothing of whoever sent it."""
    specs = [spec for spec in map(tasks.find, tasks.names()) if spec]
    return OWN | {parameter.name for spec in specs for parameter in spec.parameters}

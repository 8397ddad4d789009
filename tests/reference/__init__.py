"""What the reference libraries answer on a model's own weights, in the forms of Hugging Face's inference container.

Every module here has REFERENCES: for each of its tasks a function that is given a model's folder, the `inputs` and the
`parameters` of a request, and gives the answer's JSON. A task that has none stands in WITHOUT, with the reason.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

Reference = Callable[[Path, Any, Mapping[str, Any]], Any]

WITHOUT: dict[str, str] = {}
"""Tasks of which no library has an answer, and why."""


def references() -> dict[str, Reference]:
    """The functions of all modules, by task."""
    found: dict[str, Reference] = {}
    for module in pkgutil.iter_modules(__path__):
        own = importlib.import_module(f"{__name__}.{module.name}").REFERENCES
        assert not own.keys() & found.keys()
        found |= own
    return found


def answer(task: str, folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """What the reference of a task answers, as a client reads it: lists, objects, texts and numbers."""
    return json.loads(json.dumps(references()[task](folder, inputs, parameters), default=_plain))


def difference(found: Any, wanted: Any, at: str = "answer") -> str | None:
    """Where two answers differ, in words: numbers with a fraction by more than 1e-4, all else at all."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            return f"{at} has other keys: {found!r} instead of {wanted!r}"
        return next((told for key in wanted if (told := difference(found[key], wanted[key], f"{at}.{key}"))), None)
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return f"{at} is another list: {found!r} instead of {wanted!r}"
        pairs = enumerate(zip(found, wanted, strict=True))
        return next((told for place, pair in pairs if (told := difference(*pair, f"{at}[{place}]"))), None)
    if isinstance(wanted, float):
        close = isinstance(found, int | float) and abs(found - wanted) <= 1e-4
    else:
        close = type(found) is type(wanted) and found == wanted
    return None if close else f"{at} is {found!r} instead of {wanted!r}"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    raise TypeError(type(value).__name__)

"""Pickled weights made safetensors, so that no pickle is ever served."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import TaskMismatchError
from hub2triton.generate import weights
from hub2triton.generate.export import process

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_S = 3600.0

MEMORY = 8 * 2**30
"""Bytes that reading may take besides the weights themselves, which lie there twice: torch alone takes some."""


def converted(places: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """The files of a model with safetensors in place of its pickled weights.

    Args:
        places: Where each file is, by its path in the model.
        scratch: An empty folder, for files as large as these.

    Raises:
        TaskMismatchError: A file cannot be read as weights.
    """
    found = {path: place for path, place in places.items() if not weights.is_pickled(path)}
    pickled = {path: scratch / weights.safe_name(path) for path in places if weights.is_pickled(path)}
    if not pickled:
        return found
    size = max(places[path].stat().st_size for path in pickled)
    request = scratch / "request.json"
    files = [(str(places[path]), str(target)) for path, target in pickled.items()]
    request.write_text(json.dumps({"files": files, "memory": MEMORY + 2 * size}), encoding="utf-8")
    package = Path(__file__).parents[2]
    ended = process.run(
        [sys.executable, "-m", "hub2triton.generate.unpickle", request],
        scratch / "unpickle.log",
        limit_s=LIMIT_S,
        on_line=lambda _: None,
        environment={"PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))},
    )
    if ended.code != 0:
        cause = ended.last_words.rstrip(".") or "its reading did not end well"
        raise TaskMismatchError(
            f"the pickled weights {', '.join(pickled)} cannot be made safetensors: {cause}. Choose a --revision or a "
            "model with *.safetensors"
        )
    return found | {weights.safe_name(path): target for path, target in pickled.items()}

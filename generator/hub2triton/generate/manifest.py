"""manifest.json: what was written into a model's folder, and from what."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub2triton import __version__
from hub2triton.generate.options import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub2triton.generate.plan import Plan

FILE = "manifest.json"
BLOB = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """The record of one generation.

    Attributes:
        source: Where the model comes from: origin, model_id, revision.
        task: The task's name.
        library: The library that loads the model.
        files: SHA-256 by path, as written; a file that differs from it was edited since.
        on_hub: The model's files that are left on the Hub until it is loaded.
        onnx: Where the graph comes from, and how it compares with torch; None without one.
        pickled: The model's pickled weights, in whose place safetensors were written; None where it has none.
    """

    generator: str
    source: Mapping[str, str | None]
    task: str
    library: str
    files: Mapping[str, str]
    on_hub: list[str] = field(default_factory=list)
    onnx: Mapping[str, Any] | None = None
    pickled: list[str] | None = None

    @classmethod
    def of(cls, plan: Plan, files: Mapping[str, str], onnx: Mapping[str, Any] | None = None) -> Manifest:
        """The manifest of a plan whose files have these digests, and of its graph."""
        return cls(
            generator=f"hub2triton {__version__}",
            source={
                "origin": plan.source.origin.value,
                "model_id": plan.source.model_id,
                "revision": plan.source.revision,
            },
            task=plan.task,
            library=plan.library.value,
            files=dict(sorted(files.items())),
            on_hub=[file.path for file in plan.files] if plan.options.weights is Weights.HUB else [],
            onnx=onnx,
            pickled=list(plan.pickled) or None,
        )

    def to_json(self) -> str:
        """The text of manifest.json; the same for the same generation, whenever it is made."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(told, indent=2) + "\n"


def load(folder: Path) -> Manifest | None:
    """The manifest of a model's folder; None where there is none that can be read."""
    try:
        found = Manifest(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if isinstance(found.files, dict) else None


def digest(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; large files of the Hub's cache carry it as their name."""
    target = path.resolve()
    if target.parent.name == "blobs" and BLOB.fullmatch(target.name):
        return target.name
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

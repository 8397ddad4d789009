"""Optimum's exporter, in an environment of its own: its ONNX part needs transformers below 4.58, the models need 5."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import ExportError
from hub2triton.generate.export import process

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.1.0"
PACKAGES = (
    f"optimum-onnx=={VERSION}",
    "transformers>=4.57,<4.58",
    "torch>=2.4",
    "onnxruntime>=1.20",
    "sentencepiece>=0.2",
    "pillow>=11",
)


def environment() -> Path:
    """The folder of the environment, below the user's cache; it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = f"optimum-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    return Path(cache).expanduser() / "hub2triton" / name


def python(given: Path | None, scratch: Path, limit_s: float) -> Path:
    """The Python that has the exporter; the environment is made on its first use.

    Args:
        given: The user's own; None for the one made here.
        scratch: A folder for logs.
        limit_s: Seconds that making it may take.

    Raises:
        ExportError: The packages cannot be installed, or the user's Python is no file.
    """
    if given is not None:
        if not given.is_file():
            raise ExportError(f"--optimum-python {given} is no file; name the python of an environment with optimum")
        return given
    folder = environment()
    found = folder / "bin" / "python"
    if (folder / ".complete").is_file():
        return found
    process.say(f"making {folder}, once: pip install {' '.join(PACKAGES)}")
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", folder],
        [found, "-m", "pip", "install", "--quiet", *PACKAGES],
    ]
    for command in commands:
        left = limit_s - (time.monotonic() - started)
        ended = process.run(command, scratch / "pip.log", limit_s=max(left, 1.0), on_line=_ignore)
        if ended.code != 0:
            raise ExportError(
                f"optimum's environment {folder} could not be made: {ended.last_words or 'its time was up'}. Try again "
                "with a longer --onnx-timeout, or name a Python that has optimum-onnx with --optimum-python"
            )
    (folder / ".complete").touch()
    return found


def export(interpreter: Path, model: Path, task: str, folder: Path, scratch: Path, limit_s: float) -> None:
    """Writes the graph of a model.

    Args:
        interpreter: Of an environment that has the exporter.
        model: The folder of the model's own files.
        task: Optimum's name of it.
        folder: Where to; it then holds the graph and its weights alone.
        scratch: A folder for what is not kept.
        limit_s: Seconds that it may take.

    Raises:
        ExportError: There is no graph.
    """
    out = scratch / "optimum"
    command: Sequence[str | Path] = [
        *(interpreter, "-m", "optimum.exporters.onnx", "--model", model, "--task", task),
        *("--library", "transformers", "--no-post-process", out),
    ]
    process.say(f"optimum exports {task}")
    ended = process.run(command, scratch / "optimum.log", limit_s=limit_s, on_line=_ignore)
    if ended.code != 0 or not (out / "model.onnx").is_file():
        cause = f"its time of {limit_s:.0f} s was up" if ended.code is None else ended.last_words
        raise ExportError(f"optimum could not export the model: {cause}. Leave out --exporter optimum, or --onnx")
    for path in out.glob("model.onnx*"):
        shutil.move(path, folder / path.name)


def _ignore(_: str) -> None:
    """For programs whose output is of no use to the user."""

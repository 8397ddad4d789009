"""Which of a model's files a torch model needs: a Hub repository often holds the same weights five times."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub2triton.generate.source import SourceFile

OTHER_FRAMEWORKS = re.compile(
    r"(^|/)(onnx|openvino|coreml|gguf|original|\.[^/]*)/|\.(h5|msgpack|ot|onnx|onnx_data|gguf|tflite|mlmodel|xml|pb|pdf|png|jpe?g|gif|svg|ipynb)$"
)
DOCUMENTS = re.compile(r"(^|/)(README|LICENSE|NOTICE|\.git[a-z]*)[^/]*$|\.md$", re.IGNORECASE)
TRAINING = re.compile(
    r"(^|/)(training_args\.bin|optimizer\.(pt|bin)|scheduler\.pt|rng_state[^/]*|trainer_state\.json|runs/.*|checkpoint-[^/]*/.*)$"
)


def select(files: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    """The files to serve: no other frameworks, no documents; safetensors rather than pickled weights."""
    kept = [
        file
        for file in files
        if not (OTHER_FRAMEWORKS.search(file.path) or DOCUMENTS.search(file.path) or TRAINING.search(file.path))
    ]
    with_safetensors = {_folder(file) for file in kept if file.path.endswith(".safetensors")}
    return tuple(file for file in kept if not (_pickled(file) and _folder(file) in with_safetensors))


def _folder(file: SourceFile) -> PurePosixPath:
    return PurePosixPath(file.path).parent


def _pickled(file: SourceFile) -> bool:
    return file.path.endswith((".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"))

"""What is said in sounds, and their labels, by transformers' pipelines."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from tests.media import Array
from transformers import pipeline


@functools.cache
def _pipeline(task: str, folder: Path) -> Any:
    return pipeline(task, model=str(folder), device="cpu")


def _decoded(content: bytes, rate: int) -> Array:
    """As `ffmpeg -ac 1 -ar RATE` does, which the pipelines run; it need not be installed here."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(io.BytesIO(content)) as container:
        frames = [*container.decode(audio=0), None]
        return np.concatenate([part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)])


def _answer(task: str, folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(inputs, list):
        return [_answer(task, folder, item, parameters) for item in inputs]
    made = _pipeline(task, folder)
    rate = made.feature_extractor.sampling_rate
    return made({"raw": _decoded(base64.b64decode(inputs), rate), "sampling_rate": rate}, **parameters)


def recognition(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`{"text"}`, with `chunks` where they are asked for, and a list of that for a list."""
    return _answer("automatic-speech-recognition", folder, inputs, parameters)


def classification(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"label", "score"}]`, and a list of that for a list."""
    return _answer("audio-classification", folder, inputs, {"top_k": None, **parameters})


REFERENCES = {"automatic-speech-recognition": recognition, "audio-classification": classification}

"""Tiny models that bring their own code: an echo, a legacy pipeline, and handlers that do what handlers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ECHO = """
class EndpointHandler:
    def __init__(self, path=""):
        self.path = path

    def __call__(self, data):
        return data
"""

LEGACY = """
import os
from typing import Any

from reversal import reverse


class PreTrainedPipeline:
    def __init__(self, path=""):
        with open(os.path.join(path, "mark.txt")) as file:
            self.mark = file.read()

    def __call__(self, inputs: str) -> list[dict[str, Any]]:
        return [{"reversed": reverse(inputs) + self.mark}]
"""

TRANSFORMERS = """
from typing import Any, Dict, List

from transformers import pipeline


class EndpointHandler:
    def __init__(self, path: str = ""):
        self.pipeline = pipeline("text-classification", model=path)

    def __call__(self, data: Dict[str, Any]) -> List[Dict[str, Any]]:
        inputs = data.pop("inputs", data)
        parameters = data.pop("parameters", None) or {}
        return self.pipeline(inputs, **parameters)
"""

MANY = '''
import asyncio
import base64
import os
import sys

import numpy as np
import torch
from PIL import Image


def words():
    yield from ("one ", "two")


async def numbers():
    for number in (1, 2):
        await asyncio.sleep(0)
        yield number


class EndpointHandler:
    """Does what its `inputs` name; asked for nothing it knows, it tells what it was asked."""

    def __init__(self, path):
        self.lock = None

    async def __call__(self, data):
        inputs = data.get("inputs")
        if self.lock is None:  # of the loop that the first request runs in; another loop could not use it
            self.lock = asyncio.Lock()
        async with self.lock:
            await asyncio.sleep(0)
        if isinstance(inputs, Image.Image):
            return inputs.rotate(180)
        if isinstance(inputs, bytes):
            return {"length": len(inputs), "parameters": data.get("parameters")}
        if inputs == "array":
            return {"array": np.arange(6.0).reshape(2, 3), "number": np.float32(0.5), "whole": np.int64(3)}
        if inputs == "tensor":
            return torch.tensor([[1.0, float("nan")], [float("inf"), 2.0]], requires_grad=True)
        if inputs == "image":
            return Image.new("RGB", (8, 4), (255, 0, 0))
        if inputs == "images":
            return [Image.new("RGB", (8, 4), (0, 255, 0)), {1: (True, None)}]
        if inputs == "bytes":
            return b"\\x00\\x01"
        if inputs == "sound":
            return b"RIFF", "audio/wav"
        if inputs == "no type":
            return b"RIFF", "audio/wav\\r\\nx-injected: 1"
        if inputs == "words":
            return words()
        if inputs == "numbers":
            return numbers()
        if inputs == "large":
            return 2**70
        if inputs == "object":
            return object()
        if inputs == "raise":
            raise KeyError("needed")
        if inputs == "exit":
            sys.exit(3)
        if inputs == "die":
            os._exit(3)
        return {"asked": data, "folder": os.getcwd() != os.path.dirname(__file__)}
'''

FAULTS = '''
import os
import threading
import time


class EndpointHandler:
    """Answers with what it was asked, and does before what its `inputs` begin with."""

    def __init__(self, path):
        self.kept = []

    def __call__(self, data):
        verb, _, number = str(data.get("inputs")).partition(" ")
        if verb == "sleep":
            time.sleep(float(number.split()[0]))
        if verb == "exit":
            os._exit(3)
        if verb == "deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        while verb == "spin":
            pass
        if verb == "leak":  # MiB
            self.kept.append(bytes(bytearray(b"x") * (int(number) << 20)))
        return data
'''


def echo(folder: Path) -> None:
    """The handler with which endpoints are tried out: what it is asked is its answer."""
    _write(folder, {"handler.py": ECHO})


def legacy_pipeline(folder: Path) -> None:
    """A pipeline.py with a module and a file beside it, and requirements of its own."""
    reversal = "def reverse(text):\n    return text[::-1]\n"
    _write(folder, {"pipeline.py": LEGACY, "reversal.py": reversal, "mark.txt": "!", "requirements.txt": "numpy\n"})


def classifier_handler(folder: Path) -> None:
    """The usual handler: one of transformers' pipelines, over the model's own weights."""
    from tests.models.classification import distilbert_sentiment

    distilbert_sentiment(folder)
    _write(folder, {"handler.py": TRANSFORMERS})


def many_answers(folder: Path) -> None:
    """A handler that answers with all kinds of values, and fails in all kinds of ways."""
    _write(folder, {"handler.py": MANY})


def faults(folder: Path) -> None:
    """An echo that on request fails in the ways that take a process, and not only an answer, with them."""
    _write(folder, {"handler.py": FAULTS})


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)


BUILDERS = (echo, legacy_pipeline, classifier_handler, many_answers, faults)

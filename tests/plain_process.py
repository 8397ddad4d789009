"""A generated model in a process of its own that cannot import torch, nor what is built on it."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from triton_python_backend_utils import InferenceRequest, InferenceResponse

ABSENT = ("torch", "transformers", "sentence_transformers")


def responses(folder: Path, requests: list[InferenceRequest]) -> list[InferenceResponse]:
    """What the model of a folder answers there.

    Raises:
        ImportError: It needs one of these packages.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_responses, folder, requests).result()


def _responses(folder: Path, requests: list[InferenceRequest]) -> list[InferenceResponse]:
    assert not any(name in sys.modules for name in ABSENT)
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
    from tests import generated

    found: list[InferenceResponse] = generated.initialized(folder).execute(requests)
    return found

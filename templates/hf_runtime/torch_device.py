"""Torch on this instance's device: threads, dtype, and where the model goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .settings import Settings

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def use_threads(settings: Settings) -> None:
    """Gives torch this instance's share of the cores."""
    torch.set_num_threads(settings.threads)


def dtype(settings: Settings) -> torch.dtype | str:
    """What a `from_pretrained` takes as dtype.

    Raises:
        ValueError: config.pbtxt names another dtype than fp32, fp16, bf16 or auto.
    """
    if settings.dtype == "auto":  # half precision is what a GPU is fast in and what many CPUs emulate
        return torch.float32 if settings.device == "cpu" else "auto"
    if settings.dtype not in DTYPES:
        raise ValueError(f"parameter dtype in config.pbtxt must be auto, {', '.join(DTYPES)}, not {settings.dtype!r}")
    return DTYPES[settings.dtype]

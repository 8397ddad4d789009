"""Which records of the log a user is shown, and how much of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from hub2triton.serve.log import Level, Record, Writer

# How pybind11 ends an exception's text: the frames, of which the first line says nothing the text has not said.
_FRAMES = re.compile(r"\n+At:\n.*", re.DOTALL)
# Harmless where there is no GPU: the CUDA build of Triton says that it found none.
_NO_GPU = re.compile(
    r"Unable to allocate pinned system memory|CudaDriverHelper has not been initialized|initialize NVML"
    r"|DCGM unable to start|Cannot get CUDA device count|CUDA driver version is insufficient"
)
# The same failure is logged once more in model_lifecycle.cc, with the model's name.
_REPEATED = re.compile(r"ERROR: Failed to create instance: ")
# What serve-repo reports by itself about the models it loads.
_LOAD_FAILED = re.compile(r"failed to load '([^']+)' version|Poll failed for model directory '([^']+)'")
_BAD_CONFIG = re.compile(r"Error parsing text-format inference\.ModelConfig")
# serve-repo enforces its own deadline at the end of a run.
_EXIT = re.compile(r"failed to stop server: ")


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA driver (or WSL's)."""
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


@dataclass(frozen=True)
class Sieve:
    """Decides what of the log is shown.

    Attributes:
        verbose: Show everything as it came.
        gpu: Whether a complaint about CUDA means anything on this machine.
        models: Names whose loads serve-repo reports itself.
    """

    verbose: bool
    gpu: bool
    models: frozenset[str]

    def shown(self, record: Record) -> Record | None:
        """The record as the user sees it; None to hide it."""
        if self.verbose or record.writer is Writer.MODEL:
            return record
        if record.level is Level.INFO or self._harmless(record):
            return None
        return replace(record, text=_FRAMES.sub("", record.text).rstrip())

    def _harmless(self, record: Record) -> bool:
        if not self.gpu and _NO_GPU.search(record.text):
            return True
        if _REPEATED.match(record.text) or _EXIT.match(record.text) or _BAD_CONFIG.match(record.text):
            return True
        failed = _LOAD_FAILED.match(record.text)
        return failed is not None and (failed[1] or failed[2]) in self.models

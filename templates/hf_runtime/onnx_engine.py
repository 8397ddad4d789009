"""A model that onnxruntime computes, from a graph that was exported from it. Torch is not needed."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from .engine import DESCRIPTION, GRAPH
from .plain_config import PlainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

    Array = np.ndarray[Any, Any]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

SLOWER_ON_CPU = ["SkipLayerNormFusion"]
"""Makes one operation of a sum and a LayerNormalization; on CPUs it takes twice the time of the two (1.32)."""

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
"""Onnxruntime's names of the types that the inputs of models have."""


class OnnxEngine:
    """The graph beside model.py; see engine.Engine.

    Attributes:
        description: The content of onnx.json.
    """

    def __init__(self, settings: Settings) -> None:
        """Loads the graph.

        Raises:
            ValueError: config.pbtxt names a provider that this onnxruntime does not have.
        """
        self.description = json.loads((settings.version_dir / DESCRIPTION).read_text(encoding="utf-8"))
        self.config = PlainConfig(self.description["config"])
        self.positions: int = self.description["positions"]
        self._providers = _providers(settings)
        self._session = onnxruntime.InferenceSession(
            settings.version_dir / GRAPH,
            _options(settings),
            providers=self._providers,
            disabled_optimizers=SLOWER_ON_CPU if not self._on_gpu else [],
        )
        self._types = {taken.name: TYPES[taken.type] for taken in self._session.get_inputs()}
        self.inputs = frozenset(self._types)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One forward pass of a batch."""
        if "token_type_ids" in self._types and "token_type_ids" not in inputs:  # of a tokenizer that has but one type
            inputs = {**inputs, "token_type_ids": np.zeros_like(inputs["input_ids"])}
        found = self._run({name: np.ascontiguousarray(inputs[name], dtype=kind) for name, kind in self._types.items()})
        return {
            name: array.astype(np.float32, copy=False) if np.issubdtype(array.dtype, np.floating) else array
            for name, array in zip(self._names, found, strict=True)
        }

    @cached_property
    def _names(self) -> list[str]:
        return [given.name for given in self._session.get_outputs()]

    def _run(self, feed: dict[str, Array]) -> list[Array]:
        if not self._on_gpu:
            found: list[Array] = self._session.run(self._names, feed)
            return found
        binding = self._session.io_binding()  # each array is copied to the GPU once, and no output more than once back
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, *self._place))
        for name in self._names:
            binding.bind_output(name, *self._place)
        self._session.run_with_iobinding(binding)
        copied: list[Array] = binding.copy_outputs_to_cpu()
        return copied

    @cached_property
    def _place(self) -> tuple[str, int]:
        """The GPU: its kind and its number."""
        return "cuda", int(self._providers[0][1].get("device_id", 0))

    @cached_property
    def _on_gpu(self) -> bool:
        return self._providers[0][0] != PROVIDERS["cpu"]


def _options(settings: Settings) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: what it warns of is about the export, which was checked
    # Threads that wait for each other in a loop answer a single request a fifth sooner. Between two requests they would
    # take the cores from the server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _providers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """What computes, the first choice first; the CPU takes what a GPU's provider leaves."""
    kind, _, number = settings.device.partition(":")
    wanted = settings.parameters.get("onnx_provider", "auto")
    name = kind if wanted == "auto" else wanted
    if name not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise ValueError(f"parameter onnx_provider in config.pbtxt must be auto, {known}, not {name!r}")
    if PROVIDERS[name] not in onnxruntime.get_available_providers():
        raise ValueError(
            f"this onnxruntime has no {PROVIDERS[name]}; install onnxruntime-gpu in place of onnxruntime, or set "
            "device to cpu in config.pbtxt"
        )
    on_gpu = {"device_id": int(number or 0)}
    return [*([] if name == "cpu" else [(PROVIDERS[name], on_gpu)]), (PROVIDERS["cpu"], {})]

"""The export itself, by transformers' own exporter; called in the worker only."""

from __future__ import annotations

import builtins
import inspect
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from hub2triton.generate.export import packing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub2triton.generate.export.parity import Arrays

TYPES = {"fp16": "float16", "bf16": "bfloat16"}
"""Torch's names of the precisions that its models can have themselves."""


def export(engine: Any, sample: Arrays, precision: str, folder: Path, *, packed: bool = False) -> None:
    """Writes model.onnx and model.onnx.data, whose batch and lengths are dynamic.

    Args:
        engine: The runtime's TorchEngine; its model changes to the precision.
        sample: Inputs by name, of two rows or more.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        folder: Where to; what else the exporter writes is removed.
        packed: Whether the layers leave out padding; see packing.layers for which models have some that can.
    """
    import torch
    import transformers.exporters

    lib: Any = transformers.exporters
    model = engine.model.to(getattr(torch, TYPES[precision])) if precision in TYPES else engine.model
    inputs: dict[str, Any] = {
        name: engine.placed(torch.from_numpy(array.copy())) for name, array in sample.items() if name in engine.inputs
    }
    if "use_cache" in inspect.signature(model.forward).parameters:  # nothing comes after this pass
        inputs["use_cache"] = False
    # By channel: on sentence vectors the cosine to FP32 is then 0.99 instead of 0.95, at the same speed.
    by_channel: Any = lib.OnnxRuntimeDynamicConfig(per_channel=True)
    quantizer = lib.OnnxRuntimeQuantizer(by_channel) if precision == "int8" else None
    padding: AbstractContextManager[None] = packing.packed(model) if packed else nullcontext()
    with _lengths_that_vary(model), padding:
        exported = lib.OnnxExporter().export(model, inputs, lib.OnnxConfig(dynamic=True, quantizer=quantizer))
    kept = {path.name for path in folder.iterdir()}
    exported.save_pretrained(folder)
    for path in folder.iterdir():
        if path.name not in kept and not path.name.startswith("model.onnx"):
            path.unlink()


@contextmanager
def _lengths_that_vary(model: Any) -> Iterator[None]:
    """Lets `len(tensor)` in a model's code follow the batch.

    Python's own makes a plain number of it, so that the graph would have the sample's batch for ever, as RT-DETR's.
    """
    modules = {sys.modules[type(part).__module__] for part in model.modules()}
    changed = [module for module in modules if "len" not in vars(module)]
    for module in changed:
        vars(module)["len"] = _length
    try:
        yield
    finally:
        for module in changed:
            del vars(module)["len"]


def _length(value: Any) -> Any:
    import torch

    return value.shape[0] if isinstance(value, torch.Tensor) else builtins.len(value)

"""A model that torch computes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import transformers

from . import checkpoint, torch_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from .settings import Settings

    Array = np.ndarray[Any, Any]


class TorchEngine:
    """The weights of a folder in a class of transformers; see engine.Engine.

    Attributes:
        model: In evaluation mode, on the instance's device.
    """

    def __init__(self, settings: Settings, auto_class: str, *, headless: bool = False) -> None:
        self.device = settings.device
        self.model = checkpoint.load(settings, getattr(transformers, auto_class), headless=headless)
        self.config = self.model.config
        self.inputs = frozenset(inspect.signature(self.model.forward).parameters)
        self.positions = torch_text.positions(self.model)

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One forward pass of a batch."""
        found = self.forward({name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: _on_cpu(value).numpy() for name, value in found.items() if isinstance(value, torch.Tensor)}

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, torch.Tensor]) -> Any:
        """What the model gives, as transformers' ModelOutput with tensors on the model's device."""
        placed: dict[str, Any] = {name: self.placed(value) for name, value in inputs.items() if name in self.inputs}
        if "use_cache" in self.inputs:  # nothing comes after this pass
            placed["use_cache"] = False
        return self.model(**placed)

    def placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor on the model's device; one of fractions in its dtype."""
        return tensor.to(self.device, self.model.dtype if tensor.is_floating_point() else None)


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu()

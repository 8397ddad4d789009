"""How many frames a model of speech makes of a sound, by the arithmetic of its convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ADAPTER_KERNEL = 1
"""What transformers reckons with for the layers behind the model proper that shorten its output further."""


@dataclass(frozen=True)
class Frames:
    """The convolutions that a sound goes through, one after the other; none where a model is not of that kind.

    Attributes:
        layers: For each, how many samples, or frames of the layer before, a frame is made of, and by how many of them
            the next frame begins later.
    """

    layers: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, config: Any) -> Frames:
        """The convolutions of a model with this configuration."""
        layers = tuple(zip(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=True))
        if layers and getattr(config, "add_adapter", False):
            layers += ((ADAPTER_KERNEL, config.adapter_stride),) * config.num_adapter_layers
        return cls(layers)

    def count(self, samples: int) -> int:
        """The frames of a sound, below 1 where it is too short for any; as many as samples without convolutions."""
        for kernel, stride in self.layers:
            samples = (samples - kernel) // stride + 1
        return samples

"""A text model for what only torch can do, such as writing token by token: tensors in place of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .text_model import Tokens
    from .torch_engine import TorchEngine


class TorchTextModel(TextModel):
    """The tokenizer and the model of a folder.

    Attributes:
        model: In evaluation mode, on the instance's device.
        device: Where it is.
    """

    engine: TorchEngine

    def __init__(self, settings: Settings, auto_class: str) -> None:
        """Loads both; see TextModel."""
        super().__init__(settings, auto_class)
        self.model = self.engine.model
        self.device = settings.device

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None, **options: Any) -> Any:
        """Tokenizes a batch, or one of pairs: padded to the longest, and cut at the window unless told otherwise."""
        options = {"padding": True, "truncation": True, "max_length": self.window, **options}
        return self.tokenizer(list(texts), None if pairs is None else list(pairs), return_tensors="pt", **options)

    def padded(self, rows: Sequence[Tokens]) -> Any:
        """A batch for `forward` of what `tokens` gave, padded to the longest."""
        names = [name for name in self.tokenizer.model_input_names if name in rows[0]]
        columns = {name: [row[name] for row in rows] for name in names}
        return self.tokenizer.pad(columns, padding=True, return_tensors="pt", verbose=False)

    @torch.inference_mode()
    def forward(self, encoded: Any) -> Any:
        """What the model gives for a batch of `encode` or `padded`; its tensors are on the model's device."""
        return self.engine.forward(encoded)

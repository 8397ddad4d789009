"""What text models of torch have in common: a longest text, and padding."""

from __future__ import annotations

from typing import Any

import torch

WITHOUT_END = 10**9


def positions(model: Any) -> int:
    """The number of positions a model has embeddings for; a very large number where it has no such table."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kind count positions from behind the padding index.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    told = int(getattr(model.config, "max_position_embeddings", None) or 0)
    return told if told > 0 else WITHOUT_END  # XLNet's says -1


def allow_padding(tokenizer: Any) -> None:
    """Gives a tokenizer without a padding token, such as GPT-2's, one: padding is masked, so any token will do."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token

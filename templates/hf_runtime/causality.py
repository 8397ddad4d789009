"""What a causal model should leave alone, and some do not: tokens behind a text, and other texts beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .torch_text_model import TorchTextModel

ROUNDING = 0.02
"""Scores that differ by less than this part of their range are the same, in bf16 too."""


def sees_only_back(model: TorchTextModel) -> bool:
    """Whether a token changes no score before it, so that one pass through a text gives the scores of all its tokens.

    It does in XLNet and XLM, and in BERT and its kind where they were not made decoders.
    """
    first, second, third, *_ = _tokens(model.model)
    ids = torch.tensor([[first, second, third], [first, second, first]])
    logits = model.forward({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits[:, :2]
    return _same(logits[0], logits[1])


def takes_company(model: Any) -> bool:
    """Whether `generate` gives a text the same scores beside a longer one as alone.

    XLM counts positions from the padding, and RWKV reads it; with transformers 5.23 RWKV also mixes the states of the
    rows of a batch.
    """
    first, second, *others = _tokens(model)
    padding = len(others) - 2
    alone = _scores(model, [[first, second]], [[1, 1]])
    beside = _scores(model, [[0] * padding + [first, second], others], [[0] * padding + [1, 1], [1] * len(others)])
    return _same(alone[0], beside[0]) and (len(alone) == 1 or _same(alone[1], beside[1]))


def _tokens(model: Any) -> list[int]:
    """Ids from the middle of the vocabulary, where no special ones are."""
    size = int(model.config.get_text_config().vocab_size)
    return [size * part // 9 for part in range(2, 9)]


@torch.inference_mode()
def _scores(model: Any, ids: list[list[int]], mask: list[list[int]]) -> list[torch.Tensor]:
    """The first text's scores of the tokens that follow it; the second's come out of what was kept of the first's."""
    told = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1, "max_new_tokens": 2, "pad_token_id": 0}
    shown = {"return_dict_in_generate": True, "output_logits": True}
    inputs = {"input_ids": ids, "attention_mask": mask}
    tensors = {name: torch.tensor(value, device=model.device) for name, value in inputs.items()}
    return [scores[0] for scores in model.generate(**tensors, **told, **shown).logits]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    known = one.isfinite() & other.isfinite()
    one, other = one[known].float(), other[known].float()
    return bool((one - other).abs().max() <= ROUNDING * (one.max() - one.min()))

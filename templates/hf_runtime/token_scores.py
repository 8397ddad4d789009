"""How likely a model found the tokens of finished texts, by its own distribution over the vocabulary.

The texts go through the model once more after they were generated. That costs nothing where nobody asks, and tells the
same of a token however it was chosen: `generate` has had its temperature, penalties and limits at the scores it sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .torch_text_model import TorchTextModel

POSITIONS = 1024
"""Positions whose distributions are held at once: each has a number for every token of the vocabulary."""


@dataclass(frozen=True)
class Scores:
    """Natural logarithms of probabilities, for some tokens in a row.

    Attributes:
        chosen: Of each token.
        top: For each token the likeliest in its place, the likeliest first: ids and logarithms.
    """

    chosen: list[float]
    top: list[list[tuple[int, float]]]


def scores(
    model: TorchTextModel,
    rows: Sequence[Sequence[int]],
    begins: Sequence[int],
    top: int,
    encoded: Mapping[str, torch.Tensor] | None = None,
) -> list[Scores]:
    """The scores of each row from one of its tokens to its end.

    Args:
        model: A causal one, or an encoder-decoder model.
        rows: Token ids, with all that the decoder read before them and without padding.
        begins: The first token of each row that is scored, at least 1: nothing tells how likely a first one is.
        top: How many of the likeliest tokens to tell.
        encoded: What the encoder reads, `input_ids` and `attention_mask` of shape [rows, tokens].
    """
    found: list[Scores] = []
    size = max(1, POSITIONS // max(len(row) for row in rows))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        own = None if encoded is None else {name: tensor[part] for name, tensor in encoded.items()}
        found += _batch(model, rows[part], begins[part], top, own)
    return found


def _batch(
    model: TorchTextModel,
    rows: Sequence[Sequence[int]],
    begins: Sequence[int],
    top: int,
    encoded: Mapping[str, torch.Tensor] | None,
) -> list[Scores]:
    # Padding behind a row is seen by nothing in it, and the last token is not read: nothing comes after it.
    width = max(len(row) for row in rows) - 1
    ids = torch.tensor([[*row[:-1], *[0] * (width + 1 - len(row))] for row in rows])
    kept = width + 1 - min(begins)
    given: dict[str, Any]
    if encoded is None:
        mask = torch.tensor([[1] * (len(row) - 1) + [0] * (width + 1 - len(row)) for row in rows])
        # Most causal models take it; a prompt's distributions would be the largest part.
        given = {"input_ids": ids, "attention_mask": mask, "logits_to_keep": torch.arange(width - kept, width)}
    else:
        given = {**encoded, "decoder_input_ids": ids}
    logits = model.forward(given).logits[:, -kept:]
    return [
        _scores(logits[index, begin - min(begins) : len(row) - min(begins)], row[begin:], top)
        for index, (row, begin) in enumerate(zip(rows, begins, strict=True))
    ]


def _scores(logits: torch.Tensor, ids: Sequence[int], top: int) -> Scores:
    logarithms = logits.float().log_softmax(dim=-1)
    chosen = logarithms.gather(1, torch.tensor(ids, device=logits.device).unsqueeze(1)).squeeze(1)
    values, places = logarithms.topk(min(top, logarithms.shape[1]), dim=1)
    likeliest = zip(places.tolist(), values.tolist(), strict=True)
    return Scores(
        chosen.tolist(),
        # Some models rule tokens out altogether, and JSON has no word for it.
        [[pair for pair in zip(*row, strict=True) if math.isfinite(pair[1])] for row in likeliest],
    )

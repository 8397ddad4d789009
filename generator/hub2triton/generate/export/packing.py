"""Graphs that do not compute padding: the layers of an encoder get the tokens of all rows as one long row.

Texts of one batch are padded to the longest of them, and a layer does nearly all of its work on each token by itself.
Only attention has to know which tokens are of one text. So before the first layer the padding is taken out, each
attention puts it in and takes it out again, and after the last layer it is back, for whatever the model does then.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTENTION = "hub2triton_packed"
"""What transformers knows this attention by, while a model is exported."""

LAYER = ("hidden_states", "attention_mask")
"""What a layer must take first; one that takes more of each token, such as its place, could not be packed."""

MASKED = -1e9
"""Added to the score of what is not to be seen, it leaves nothing of it, and no row without any number."""


def layers(model: Any) -> Any:
    """The layers of a model that can be packed: a ModuleList; None where there are none, or not the usual ones.

    That says nothing of what they do: the graph is to be compared with the model.
    """
    import torch

    config = model.config
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        return None
    count = getattr(config, "num_hidden_layers", 0)
    found = [
        part
        for part in model.modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == count and all(_fits(layer) for layer in part)
    ]
    return found[0] if len(found) == 1 else None


def _fits(layer: Any) -> bool:
    return tuple(inspect.signature(layer.forward).parameters)[: len(LAYER)] == LAYER


@contextmanager
def packed(model: Any) -> Iterator[None]:
    """Packs the layers of a model that has some; see `layers`.

    Raises:
        ValueError: Its attention is code of its own.
    """
    import transformers

    lib: Any = transformers
    packing = _Packing()
    lib.AttentionInterface.register(ATTENTION, packing.attention)
    lib.AttentionMaskInterface.register(ATTENTION, _mask_of_tokens)
    before = model.config._attn_implementation  # noqa: SLF001 (transformers has no public way to ask)
    stack = layers(model)
    hooks = [
        stack[0].register_forward_pre_hook(packing.begin, with_kwargs=True),
        stack[-1].register_forward_hook(packing.end),
    ]
    model.set_attn_implementation(ATTENTION)
    try:
        if model.config._attn_implementation != ATTENTION:  # noqa: SLF001
            raise ValueError("its attention cannot be replaced")
        yield
    finally:
        model.set_attn_implementation(before)
        for hook in hooks:
            hook.remove()


def _mask_of_tokens(*_: Any, attention_mask: Any, **__: Any) -> Any:
    """What a model gives its layers as the mask: the one that it was given, [rows, tokens]."""
    return attention_mask


class _Packing:
    """Where the tokens of a batch are, with the padding between them and without.

    Attributes:
        mask: Whether a place holds a token: BOOL [rows, longest].
        places: Of the tokens among all places: INT64 [tokens].
        tokens: For each place that of its token among all tokens, and of any for padding: INT64 [rows x longest].
    """

    def begin(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the first layer: takes the padding out of the states, [rows, longest, size]."""
        import torch

        states, mask, *others = args
        self.mask = mask.bool()
        self.rows, self.longest = states.shape[:2]
        flat = self.mask.reshape(-1)
        self.places = flat.nonzero().reshape(-1)
        torch._check(self.places.shape[0] > 1)  # noqa: SLF001 (its name in PyTorch's documentation)
        self.tokens = (flat.long().cumsum(0) - 1).clamp(min=0)
        return (self._without_padding(states)[None], mask, *others), kwargs

    def end(self, _: Any, __: tuple[Any, ...], states: Any) -> Any:
        """After the last layer: puts padding in again."""
        return self._with_padding(states[0])

    def attention(
        self, _: Any, query: Any, key: Any, value: Any, __: Any, scaling: float | None = None, **___: Any
    ) -> tuple[Any, None]:
        """Attention among the tokens of each row, as transformers calls it: states are [1, heads, tokens, size].

        Returns:
            States as [1, tokens, heads, size], and no weights.
        """
        import torch

        heads, size = query.shape[1], query.shape[3]
        asked, known, told = (self._by_head(states) for states in (query, key, value))
        unseen = torch.where(self.mask, 0.0, MASKED)[:, None, None, :]
        scores = (asked * (size**-0.5 if scaling is None else scaling)) @ known.transpose(2, 3) + unseen
        found = scores.softmax(-1) @ told
        merged = found.transpose(1, 2).reshape(self.rows, self.longest, heads * size)
        return self._without_padding(merged).reshape(1, -1, heads, size), None

    def _by_head(self, states: Any) -> Any:
        """States of tokens as [rows, heads, longest, size]."""
        _, heads, _, size = states.shape
        merged = states.transpose(1, 2).reshape(-1, heads * size)
        return self._with_padding(merged).reshape(self.rows, self.longest, heads, size).transpose(1, 2)

    def _without_padding(self, states: Any) -> Any:
        return states.reshape(self.rows * self.longest, -1).index_select(0, self.places)

    def _with_padding(self, states: Any) -> Any:
        return states.index_select(0, self.tokens).reshape(self.rows, self.longest, -1)

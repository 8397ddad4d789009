"""Tiny base models without a head, as `save_pretrained` writes them. Their weights are the same in every run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import transformers
from tests.models import vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW = 64
"""Tokens that every model here takes, special tokens included."""

SIZE = 32
"""Numbers in the vector of a token."""

LAYERS = {"hidden_size": SIZE, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 2 * SIZE}
SPREAD = 0.2  # of the weights: ten times the usual, so that other texts have clearly other vectors


def bert_base(folder: Path) -> None:
    """BERT with WordPiece, whose tokenizer knows the window."""
    tokenizer = vocabulary.word_pieces(WINDOW)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW,
        initializer_range=SPREAD,
        **LAYERS,
    )
    _save(folder, transformers.BertModel, config, tokenizer)


def roberta_base(folder: Path) -> None:
    """RoBERTa, whose tokenizer does not know the window, and whose positions start behind the padding's index."""
    tokenizer = vocabulary.roberta_bytes()
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        initializer_range=SPREAD,
        **LAYERS,
    )
    _save(folder, transformers.RobertaModel, config, tokenizer)


def gpt2_base(folder: Path) -> None:
    """GPT-2: no token for padding, and every token sees only those before it."""
    tokenizer = vocabulary.gpt2_bytes()
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=WINDOW,
        n_embd=SIZE,
        n_layer=2,
        n_head=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=SPREAD,
    )
    _save(folder, transformers.GPT2Model, config, tokenizer)


@contextmanager
def seeded() -> Iterator[None]:
    """Weights drawn inside are the same in every run; torch's own state is as before after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _save(
    folder: Path,
    model: type[transformers.PreTrainedModel],
    config: transformers.PretrainedConfig,
    tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    with seeded():
        model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = (bert_base, roberta_base, gpt2_base)

"""Tiny models that answer out of a text or a table: extractive ones, TAPAS with and without aggregators, TAPEX."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models import text, vocabulary

if TYPE_CHECKING:
    from pathlib import Path

TABLE_WINDOW = 128
"""Tokens that the models of tables take."""

AGGREGATORS = {0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}


def bert_squad(folder: Path) -> None:
    """BERT, whose token types tell the question from the context."""
    tokenizer = vocabulary.word_pieces(text.WINDOW)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=text.WINDOW,
        initializer_range=text.SPREAD,
        **text.LAYERS,
    )
    with text.seeded():
        transformers.BertForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def distilbert_squad(folder: Path) -> None:
    """DistilBERT, which does not take the token types of its tokenizer: only [SEP] tells question and context apart."""
    tokenizer = vocabulary.word_pieces(text.WINDOW)
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=text.WINDOW,
        dim=text.SIZE,
        n_layers=2,
        n_heads=4,
        hidden_dim=2 * text.SIZE,
        initializer_range=text.SPREAD,
    )
    with text.seeded():
        transformers.DistilBertForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def roberta_squad(folder: Path) -> None:
    """RoBERTa with byte-level BPE, where a token may be a part of a character."""
    tokenizer = vocabulary.roberta_bytes()
    tokenizer.model_max_length = text.WINDOW
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=text.WINDOW + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        initializer_range=text.SPREAD,
        **text.LAYERS,
    )
    with text.seeded():
        transformers.RobertaForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tapas_wtq(folder: Path) -> None:
    """TAPAS that selects cells and an aggregator for them."""
    _tapas(
        folder,
        seed=6,  # answers to other queries differ, with and without an aggregator
        num_aggregation_labels=len(AGGREGATORS),
        aggregation_labels=AGGREGATORS,
        no_aggregation_label_index=0,
        use_answer_as_supervision=True,
    )


def tapas_sqa(folder: Path) -> None:
    """TAPAS for conversations, which only selects cells."""
    _tapas(folder, seed=3)


def tapex_bart(folder: Path) -> None:
    """BART that reads a table as text; its files name the tokenizer that transformers 5 does not have."""
    words = vocabulary.roberta_bytes().get_vocab()
    tokenizer = transformers.BartTokenizer(vocab=words, merges=_merges(), model_max_length=TABLE_WINDOW)
    config = transformers.BartConfig(
        vocab_size=len(tokenizer),
        d_model=text.SIZE,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * text.SIZE,
        decoder_ffn_dim=2 * text.SIZE,
        max_position_embeddings=TABLE_WINDOW,
        init_std=text.SPREAD,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
    )
    with text.seeded():
        model = transformers.BartForConditionalGeneration(config)
    model.generation_config._from_model_config = False  # or `generate` makes it anew, without what follows
    model.generation_config.max_length = 16
    model.generation_config.num_beams = 2
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "TapexTokenizer"}))


def _tapas(folder: Path, seed: int, **head: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = vocabulary.word_pieces(TABLE_WINDOW).get_vocab()
    pieces = [*sorted(words, key=lambda piece: words[piece]), "[EMPTY]"]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    tokenizer = transformers.TapasTokenizer(str(folder / "vocab.txt"), model_max_length=TABLE_WINDOW)
    config = transformers.TapasConfig(
        vocab_size=len(pieces),
        max_position_embeddings=TABLE_WINDOW,
        type_vocab_sizes=[3, 32, 32, 2, 32, 32, 10],
        initializer_range=text.SPREAD,
        average_logits_per_cell=False,
        **text.LAYERS,
        **head,
    )
    with text.seeded():
        torch.manual_seed(seed)
        transformers.TapasForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _merges() -> list[tuple[str, str]]:
    _, merges = vocabulary._byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return merges


BUILDERS = (bert_squad, distilbert_squad, roberta_squad, tapas_wtq, tapas_sqa, tapex_bart)

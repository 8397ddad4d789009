"""Tiny cross-encoders: one score for a pair of texts."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import transformers
from sentence_transformers import CrossEncoder
from tests.models import text, vocabulary


def bert_cross_encoder(folder: Path) -> None:
    """BERT as today's library saves it, with modules.json; its scores come from a sigmoid."""
    with TemporaryDirectory() as plain:
        _bert(Path(plain))
        CrossEncoder(plain, device="cpu").save_pretrained(str(folder))


def bert_raw_cross_encoder(folder: Path) -> None:
    """BERT as the older MS MARCO models are on the Hub: no modules.json, and scores without a sigmoid."""
    _bert(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    config.save_pretrained(folder)


def roberta_cross_encoder(folder: Path) -> None:
    """RoBERTa, whose tokenizer names no window."""
    tokenizer = vocabulary.roberta_bytes()
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=text.WINDOW + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        initializer_range=text.SPREAD,
        num_labels=1,
        **text.LAYERS,
    )
    with text.seeded():
        transformers.RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bert_nli_cross_encoder(folder: Path) -> None:
    """BERT with three scores for a pair, which cannot rank."""
    _bert(folder, labels=3)


def _bert(folder: Path, labels: int = 1) -> None:
    tokenizer = vocabulary.word_pieces(text.WINDOW)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=text.WINDOW,
        initializer_range=text.SPREAD,
        num_labels=labels,
        **text.LAYERS,
    )
    with text.seeded():
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = (bert_cross_encoder, bert_raw_cross_encoder, roberta_cross_encoder, bert_nli_cross_encoder)

"""Tiny encoder-decoder models of the families that differ in how they are asked: prefixes, languages, defaults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models import text, vocabulary
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES
from transformers.utils import sentencepiece_model_pb2_new as spm

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import GenerationMixin, PreTrainedTokenizerBase

SPACE = "▁"  # what sentencepiece writes for a space
NLLB_CODES = ["eng_Latn", "fra_Latn", "deu_Latn"]
MADLAD_MARKS = ["<2en>", "<2fr>", "<2de>"]
MARIAN_CODES = [">>fra<<", ">>ron<<"]
ENDS = [".", ",", "?", "!", ":", "<", ">"]

LAYERS = {
    "d_model": text.SIZE,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 2 * text.SIZE,
    "decoder_ffn_dim": 2 * text.SIZE,
    "max_position_embeddings": text.WINDOW,
    "init_std": text.SPREAD,
}
T5_LAYERS = {"d_model": text.SIZE, "d_kv": 8, "d_ff": 2 * text.SIZE, "num_layers": 2, "num_heads": 4}


def bart_summary(folder: Path) -> None:
    """BART with generation defaults of its own, as the ones trained on CNN/DailyMail have."""
    words, merges = vocabulary._byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer = transformers.BartTokenizer(vocab=words, merges=merges, model_max_length=text.WINDOW)
    config = transformers.BartConfig(**_ids(tokenizer), **LAYERS)
    defaults = {"num_beams": 2, "max_length": 24, "min_length": 4, "no_repeat_ngram_size": 3, "early_stopping": True}
    _save(folder, transformers.BartForConditionalGeneration, config, tokenizer, seed=7, **defaults)


def t5_prefixes(folder: Path) -> None:
    """T5 with task_specific_params: a prefix and generation defaults for each task, none for all."""
    own: dict[str, Any] = {"early_stopping": True, "num_beams": 3, "max_length": 20}
    params = {
        "summarization": {**own, "min_length": 4, "no_repeat_ngram_size": 2, "prefix": "summarize: "},
        "translation_en_to_de": {**own, "prefix": "translate English to German: "},
        "translation_en_to_fr": {**own, "num_beams": 2, "prefix": "translate English to French: "},
    }
    tokenizer = _t5_tokenizer()
    config = transformers.T5Config(**_t5_ids(tokenizer), **T5_LAYERS, task_specific_params=params)
    _save(folder, transformers.T5ForConditionalGeneration, config, tokenizer, seed=4)


def flan_t5(folder: Path) -> None:
    """T5 1.1 as FLAN has it: nothing set, so that all defaults are the pipelines'."""
    tokenizer = _t5_tokenizer()
    config = transformers.T5Config(**_t5_ids(tokenizer), **T5_LAYERS, feed_forward_proj="gated-gelu")
    _save(folder, transformers.T5ForConditionalGeneration, config, tokenizer, seed=1)


def nllb(folder: Path) -> None:
    """NLLB: a token for each language, the source's before the text, the target's forced as the first of the answer."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *_pieces()]
    tokenizer = transformers.NllbTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=_merges(),
        extra_special_tokens=NLLB_CODES,
        model_max_length=text.WINDOW,
    )
    config = transformers.M2M100Config(**_ids(tokenizer), **LAYERS)
    _save(folder, transformers.M2M100ForConditionalGeneration, config, tokenizer, seed=1, max_length=16)


def mbart(folder: Path) -> None:
    """mBART: the language's token behind the text."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_scored()]
    tokenizer = transformers.MBartTokenizer(vocab=pieces, model_max_length=text.WINDOW)
    config = transformers.MBartConfig(**_ids(tokenizer), **LAYERS)
    _save(folder, transformers.MBartForConditionalGeneration, config, tokenizer, seed=6, max_length=16)


def mbart50(folder: Path) -> None:
    """mBART-50: the language's token before the text, and the answer begins behind the end of a text."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_scored()]
    tokenizer = transformers.MBart50Tokenizer(vocab=pieces, model_max_length=text.WINDOW)
    config = transformers.MBartConfig(**_ids(tokenizer), **LAYERS)
    _save(folder, transformers.MBartForConditionalGeneration, config, tokenizer, seed=3, max_length=16, num_beams=2)


def madlad(folder: Path) -> None:
    """MADLAD: T5 with a token for each target language, which is written before the text."""
    marks = [(mark, 0.0) for mark in MADLAD_MARKS]
    pieces = [("<unk>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), *marks, *_scored()]
    tokenizer = transformers.T5Tokenizer(
        vocab=pieces, extra_ids=0, additional_special_tokens=MADLAD_MARKS, model_max_length=text.WINDOW
    )
    ids = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        **ids,
        **T5_LAYERS,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        initializer_factor=3.0,  # so that other texts have clearly other answers
    )
    _save(folder, transformers.T5ForConditionalGeneration, config, tokenizer, seed=2, max_length=16)


def m2m100(folder: Path) -> None:
    """M2M100: languages named by two letters, whose tokens are others, such as __en__."""
    words = {piece: index for index, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *_pieces()])}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "sentencepiece.bpe.model").write_bytes(_sentencepiece())
    files = [str(folder / name) for name in ("vocab.json", "sentencepiece.bpe.model")]
    # Published models name the languages' tokens as special ones; the class by itself does not.
    special = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    tokenizer = transformers.M2M100Tokenizer(*files, additional_special_tokens=special, model_max_length=text.WINDOW)
    # The languages' ids lie behind the vocabulary, and its size does not tell.
    ids = {**_ids(tokenizer), "vocab_size": max(tokenizer.lang_code_to_id.values()) + 1}
    config = transformers.M2M100Config(**ids, **LAYERS)
    _save(folder, transformers.M2M100ForConditionalGeneration, config, tokenizer, seed=6, max_length=16)


def marian(folder: Path) -> None:
    """Marian for one pair of languages: nothing to set."""
    _marian(folder, [], "fr")


def marian_targets(folder: Path) -> None:
    """Marian for several target languages, named in front of the text."""
    _marian(folder, MARIAN_CODES, "roa")


def _marian(folder: Path, codes: list[str], target: str) -> None:
    words = {piece: index for index, piece in enumerate(["</s>", "<unk>", *codes, *_pieces(), "<pad>"])}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(words))
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(_sentencepiece())
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    tokenizer = transformers.MarianTokenizer(*files, source_lang="en", target_lang=target, model_max_length=text.WINDOW)
    pad = words["<pad>"]
    ids = {**_ids(tokenizer), "decoder_start_token_id": pad, "bos_token_id": None}
    config = transformers.MarianConfig(
        **ids, **LAYERS, decoder_vocab_size=len(words), scale_embedding=True, static_position_embeddings=True
    )
    defaults = {"max_length": 16, "num_beams": 2, "bad_words_ids": [[pad]]}
    _save(folder, transformers.MarianMTModel, config, tokenizer, seed=7, **defaults)


def _ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }


def _t5_tokenizer() -> transformers.T5Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_scored()]
    return transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=text.WINDOW)


def _t5_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def _pieces() -> list[str]:
    """Letters and punctuation, alone and at the start of a word, and whole words."""
    signs = [*vocabulary.LETTERS, *ENDS]
    found = [SPACE, *signs, *(SPACE + sign for sign in signs), *(SPACE + word for word in vocabulary.WORDS)]
    return list(dict.fromkeys(found))


def _scored() -> list[tuple[str, float]]:
    """Pieces with their log probabilities: a whole word is likelier than its letters."""
    return [(piece, -3.0 - 0.01 * index - (5.0 if len(piece) == 1 else 0.0)) for index, piece in enumerate(_pieces())]


def _merges() -> list[tuple[str, str]]:
    """Each piece out of a shorter one and its last letter, where both are pieces: what BPE can reach."""
    pieces = set(_pieces())
    return [(piece[:-1], piece[-1]) for piece in _pieces() if len(piece) > 1 and piece[:-1] in pieces]


def _sentencepiece() -> bytes:
    """A unigram model written, not trained: the same in every run and with every version."""
    model = spm.ModelProto()
    model.trainer_spec.model_type = spm.TrainerSpec.UNIGRAM
    model.normalizer_spec.name = "identity"
    kinds = spm.ModelProto.SentencePiece
    for piece, kind in (("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)):
        model.pieces.add(piece=piece, score=0.0, type=kind)
    for piece, score in _scored():
        model.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    return bytes(model.SerializeToString(deterministic=True))


def _save(
    folder: Path,
    model: type[GenerationMixin],
    config: transformers.PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    **defaults: Any,
) -> None:
    with text.seeded():
        torch.manual_seed(seed)
        made: Any = model(config)
    made.generation_config._from_model_config = False  # else `generate` makes it anew from config.json
    made.generation_config.update(**defaults)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = (bart_summary, t5_prefixes, flan_t5, nllb, mbart, mbart50, m2m100, marian, marian_targets, madlad)

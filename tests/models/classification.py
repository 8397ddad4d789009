"""Tiny models that classify texts and tokens and fill in masks. Their weights are the same in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers
from tests.models import vocabulary
from tests.models.text import LAYERS, SIZE, SPREAD, WINDOW, seeded

if TYPE_CHECKING:
    from pathlib import Path

NLI = ("contradiction", "neutral", "entailment")
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def distilbert_sentiment(folder: Path) -> None:
    """Two labels; a model that does not take the token_type_ids of its tokenizer."""
    tokenizer = vocabulary.word_pieces(WINDOW)
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW,
        dim=SIZE,
        n_layers=2,
        n_heads=4,
        hidden_dim=2 * SIZE,
        initializer_range=SPREAD,
        **_labels("NEGATIVE", "POSITIVE"),
    )
    _save(folder, transformers.DistilBertForSequenceClassification, config, tokenizer)


def roberta_emotions(folder: Path) -> None:
    """Several labels at a time."""
    labels = _labels("joy", "anger", "sadness", "fear")
    _roberta(folder, "RobertaForSequenceClassification", problem_type="multi_label_classification", **labels)


def bert_regression(folder: Path) -> None:
    """One number for a pair of texts."""
    _bert(folder, "BertForSequenceClassification", problem_type="regression", **_labels("similarity"))


def gpt2_sentiment(folder: Path) -> None:
    """A causal model: no token for padding, and the last token says it."""
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
        **_labels("bad", "fair", "good"),
    )
    _save(folder, transformers.GPT2ForSequenceClassification, config, tokenizer)


def roberta_nli(folder: Path) -> None:
    """Entailment is the last label."""
    _roberta(folder, "RobertaForSequenceClassification", **_labels(*NLI))


def bart_nli(folder: Path) -> None:
    """An encoder and a decoder, which reads the label at the last end-of-sequence token."""
    tokenizer = vocabulary.roberta_bytes()
    config = transformers.BartConfig(
        vocab_size=len(tokenizer),
        d_model=SIZE,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * SIZE,
        decoder_ffn_dim=2 * SIZE,
        max_position_embeddings=WINDOW,
        init_std=SPREAD,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        **_labels(*NLI),
    )
    _save(folder, transformers.BartForSequenceClassification, config, tokenizer)


def deberta_nli(folder: Path) -> None:
    """Two labels of which the first is entailment, written in capitals; positions relative to each other."""
    _deberta(folder, "DebertaV2ForSequenceClassification", "ENTAILMENT", "NOT_ENTAILMENT")


def deberta_toxicity(folder: Path) -> None:
    """One label, so that a sigmoid makes its score."""
    _deberta(folder, "DebertaV2ForSequenceClassification", "toxic")


def deberta_entities(folder: Path) -> None:
    """Pieces of words as sentencepiece makes them, and relative positions."""
    _deberta(folder, "DebertaV2ForTokenClassification", *ENTITIES)


def bert_entities(folder: Path) -> None:
    """Words and their parts."""
    _bert(folder, "BertForTokenClassification", **_labels(*ENTITIES))


def xlm_roberta_entities(folder: Path) -> None:
    """Pieces that begin with the space before them, and no window known to the tokenizer."""
    _xlm_roberta(folder, "XLMRobertaForTokenClassification", *ENTITIES)


def xlm_roberta_languages(folder: Path) -> None:
    """Which language a text is in, of three."""
    _xlm_roberta(folder, "XLMRobertaForSequenceClassification", "en", "fr", "zh")


def bert_masked(folder: Path) -> None:
    """The mask is [MASK]."""
    _bert(folder, "BertForMaskedLM")


def roberta_masked(folder: Path) -> None:
    """The mask is <mask>."""
    _roberta(folder, "RobertaForMaskedLM")


def bert_without_mask(folder: Path) -> None:
    """A model for fill-mask whose tokenizer has forgotten its mask."""
    bert_masked(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)


def _bert(folder: Path, model: str, **more: Any) -> None:
    tokenizer = vocabulary.word_pieces(WINDOW)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=WINDOW, initializer_range=SPREAD, **LAYERS, **more
    )
    _save(folder, getattr(transformers, model), config, tokenizer)


def _roberta(folder: Path, model: str, **more: Any) -> None:
    tokenizer = vocabulary.roberta_bytes()
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        initializer_range=SPREAD,
        **LAYERS,
        **more,
    )
    _save(folder, getattr(transformers, model), config, tokenizer)


def _deberta(folder: Path, model: str, *labels: str) -> None:
    pieces = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0), *_pieces(), ("[MASK]", 0.0)]
    tokenizer = transformers.DebertaV2Tokenizer(vocab=pieces, unk_id=3, model_max_length=WINDOW)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["p2c", "c2p"],
        type_vocab_size=0,
        pooler_hidden_size=SIZE,
        initializer_range=SPREAD,
        **LAYERS,
        **_labels(*labels),
    )
    _save(folder, getattr(transformers, model), config, tokenizer)


def _xlm_roberta(folder: Path, model: str, *labels: str) -> None:
    pieces = [*((special, 0.0) for special in SPECIAL), *_pieces(), ("<mask>", 0.0)]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=pieces)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=WINDOW + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        initializer_range=SPREAD,
        **LAYERS,
        **_labels(*labels),
    )
    _save(folder, getattr(transformers, model), config, tokenizer)


def _pieces() -> list[tuple[str, float]]:
    """Words with the space before them and single characters, with made-up logarithms of their frequency."""
    characters = ["▁", *vocabulary.LETTERS, *vocabulary.LETTERS[:26].upper(), *vocabulary.PUNCTUATION]
    words = [f"▁{word}" for word in vocabulary.WORDS if len(word) > 1]
    return [*((word, -4.0) for word in words), *((character, -9.0) for character in characters)]


def _labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def _save(
    folder: Path,
    model: type[transformers.PreTrainedModel],
    config: transformers.PretrainedConfig,
    tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    with seeded():
        model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = (
    distilbert_sentiment,
    roberta_emotions,
    bert_regression,
    gpt2_sentiment,
    roberta_nli,
    bart_nli,
    deberta_nli,
    deberta_toxicity,
    xlm_roberta_languages,
    bert_entities,
    xlm_roberta_entities,
    deberta_entities,
    bert_masked,
    roberta_masked,
    bert_without_mask,
)

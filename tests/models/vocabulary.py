"""The words that the tiny models know, and their tokenizers: made the same in every run, without any download."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

SPOKEN = """
a an and are as at bad best big bird blue book boy by car cat child city cold day dog door eat fast film fish food for
friend from girl go good great green hand happy he horse house i ice in is it large learn like long love machine man
many more music new night of old on one paris people person play red river run sad school sea see short sky sleep slow
small song street summer sun sunny table teacher that the they this time to today train tree very walk warm was water
way we week where white who wind winter with woman word world year you young
"""
WORDS = SPOKEN.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PUNCTUATION = ".,:;?!'\"-()"


def word_pieces(window: int) -> BertTokenizer:
    """The words as whole tokens; others in letters. Texts are cut at `window` tokens."""
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *PUNCTUATION, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, model_max_length=window)


def roberta_bytes() -> RobertaTokenizer:
    """Byte-level BPE with RoBERTa's special tokens, of which the padding is 1; it names no window."""
    from transformers import RobertaTokenizer

    vocabulary, merges = _byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return RobertaTokenizer(vocab=vocabulary, merges=merges)


def gpt2_bytes() -> GPT2Tokenizer:
    """Byte-level BPE with an end of text and no token for padding; it names no window."""
    from transformers import GPT2Tokenizer

    vocabulary, merges = _byte_pairs(["<|endoftext|>"])
    return GPT2Tokenizer(vocab=vocabulary, merges=merges)


def _byte_pairs(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges; of the trainers of `tokenizers`, this is the one that gives the same in every run."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


def _sentences() -> list[str]:
    choose = random.Random(0)
    return [" ".join(choose.choices(WORDS, k=choose.randint(4, 12))) + "." for _ in range(500)]

"""Calls of the pipelines summarization, translation and text2text-generation, which transformers 5 has no more.

`python -m tests.oracle.seq2seq PYTHON_WITH_TRANSFORMERS_4` writes their answers; see record.py.
"""

from __future__ import annotations

import sys

from tests.oracle.record import Case, record

SHORT = "today is a sunny day"
LONG = "the old horse saw a very large machine in the street of the city, and the boy saw the horse."
TOO_LONG = "long way " * 60
TEXTS = [SHORT, LONG, "x", "", "a red bird?"]
EN_FR = {"mbart": ("en_XX", "fr_XX"), "nllb": ("eng_Latn", "fra_Latn"), "m2m100": ("en", "fr")}
TO_DE = {"mbart": "de_DE", "nllb": "deu_Latn", "m2m100": "de"}
BEAMS = {"num_beams": 2}  # the pipelines pass over what a model says of beams, so it is said again
LANGUAGES = [
    case
    for model, (source, target) in EN_FR.items()
    for case in (
        Case("translation", model, TEXTS, {"src_lang": source, "tgt_lang": target}),
        Case("translation", model, LONG, {"src_lang": source, "tgt_lang": TO_DE[model]}),
        Case("translation", model, SHORT, {"src_lang": target, "tgt_lang": source, "max_length": 9}),
    )
]
CASES = [
    Case("summarization", "bart_summary", TEXTS, BEAMS),
    Case("summarization", "bart_summary", LONG, BEAMS),
    Case("summarization", "bart_summary", LONG, {"num_beams": 4}),
    Case("summarization", "bart_summary", LONG, {**BEAMS, "max_length": 9, "min_length": 2}),
    Case("summarization", "bart_summary", SHORT, {**BEAMS, "num_return_sequences": 2}),
    Case("summarization", "bart_summary", TEXTS, {**BEAMS, "num_return_sequences": 2, "length_penalty": 2.0}),
    Case("summarization", "bart_summary", [TOO_LONG, SHORT], {**BEAMS, "truncation": "only_first"}),
    Case("summarization", "t5_prefixes", LONG, {"max_new_tokens": 30}),
    Case("summarization", "t5_prefixes", TEXTS, {"max_new_tokens": 12}),
    Case("summarization", "flan_t5", TEXTS, {"max_new_tokens": 12}),
    Case("translation", "t5_prefixes", TEXTS, {"max_new_tokens": 12}),
    Case("translation_en_to_fr", "t5_prefixes", TEXTS, {"max_new_tokens": 12}),
    Case("translation_en_to_de", "t5_prefixes", TEXTS, {"max_new_tokens": 12}),
    Case("translation", "marian", TEXTS, BEAMS),
    Case("translation_en_to_fr", "marian", LONG, BEAMS),
    Case("translation", "marian_targets", [">>fra<< " + SHORT, ">>ron<< " + SHORT, LONG], BEAMS),
    *LANGUAGES,
    Case("text2text-generation", "flan_t5", SHORT),
    Case("text2text-generation", "flan_t5", TEXTS, {"max_new_tokens": 12}),
    Case("text2text-generation", "flan_t5", TEXTS, {"max_new_tokens": 12, "num_beams": 1}),
    Case("text2text-generation", "flan_t5", TEXTS, {"max_new_tokens": 12, "no_repeat_ngram_size": 2}),
    Case("text2text-generation", "flan_t5", TEXTS, {"max_new_tokens": 12, "repetition_penalty": 3.0}),
    Case("text2text-generation", "flan_t5", TEXTS, {"min_length": 5, "max_new_tokens": 9}),
    Case("text2text-generation", "bart_summary", TEXTS, {**BEAMS, "clean_up_tokenization_spaces": True}),
]

if __name__ == "__main__":
    record("seq2seq", CASES, sys.argv[1])

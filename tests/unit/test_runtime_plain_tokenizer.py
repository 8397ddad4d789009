"""The tokenizer of a model with a graph, against transformers' own of the same files."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import transformers
from tests import models

from hf_runtime import engine, tokenizer
from hf_runtime.plain_tokenizer import PlainTokenizer
from hub2triton.generate.export import description

if TYPE_CHECKING:
    from tests.unit.conftest import Encoders

ENCODERS = (
    "feature-extraction",
    "fill-mask",
    "question-answering",
    "sentence-embeddings",
    "sentence-ranking",
    "text-classification",
    "token-classification",
    "zero-shot-classification",
)
FAMILIES = sorted({family for task in ENCODERS for family in models.FAMILIES[task]})

TEXTS = [
    "today is a sunny day",
    "x",
    "",
    " ",
    "a very good friend, from Paris (by train)... don 't stop , I 'm here !",
    "🙂 cafe\u0301 Zürich 漢字 \U0001f468\u200d\U0001f469\u200d\U0001f467 in paris\n\tby night…",
    "\u0301\u0301 İstanbul ﬁne \u202eright\u202c שלום \u200b\ufeff\ufffd \U0010ffff",
    "null \0 and \x07 and \x7f  two  spaces   ",
    "[MASK] <mask> a[MASK]b [CLS]<s></s> [SEP][PAD]<pad> [UNK]<unk> <|endoftext|>",
    "the old horse saw a very large machine in the street " * 7,
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"truncation": False, "max_length": 8},
    {"truncation": "do_not_truncate"},
    {"truncation": True},
    {"add_special_tokens": False},
    {"add_special_tokens": False, "truncation": True, "max_length": 1},
    *(
        {"truncation": strategy, "max_length": size}
        for strategy in (True, "longest_first", "only_first", "only_second")
        for size in (7, 40)
    ),
    {"truncation": True, "max_length": 20, "return_overflowing_tokens": True},
    {"truncation": True, "max_length": 20, "stride": 5, "return_overflowing_tokens": True},
]
DETAILS = {"return_offsets_mapping": True, "return_special_tokens_mask": True, "verbose": False}

Pair = tuple[Any, PlainTokenizer]


@pytest.fixture(scope="module")
def both(encoders: Encoders, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Pair]:
    """A folder's tokenizer as it is loaded beside weights, and as it is beside a graph."""

    def load(folder: Path) -> Pair:
        home = tmp_path_factory.mktemp("model")
        weights = home / "torch/1/weights"
        weights.parent.mkdir(parents=True)
        weights.symlink_to(folder)
        reference = tokenizer.load(encoders.settings(home / "torch"))
        version = home / "graph/1"
        (version / "weights").mkdir(parents=True)
        (version / engine.GRAPH).touch()
        told = description.of_model(transformers.PretrainedConfig(), 64, reference)
        (version / engine.DESCRIPTION).write_text(json.dumps(told))
        reference.backend_tokenizer.save(str(version / "weights/tokenizer.json"))
        plain = tokenizer.load(encoders.settings(home / "graph"))
        assert isinstance(plain, PlainTokenizer)
        return reference, plain

    return load


@pytest.fixture(scope="module")
def family(both: Callable[[Path], Pair], tiny: Callable[[str], Path]) -> Callable[[str], Pair]:
    return functools.cache(lambda name: both(tiny(name)))


def outcome(made: Any, *texts: Any, **options: Any) -> Any:
    """The columns, and what else is asked of each text; or the error."""
    try:
        encoded = made(*texts, **options)
    except Exception as error:  # the tokenizers have no class for theirs
        return type(error), str(error)
    own = [
        (found.ids, found.word_ids, found.sequence_ids, found.offsets, found.type_ids, found.attention_mask)
        for found in encoded.encodings
    ]
    return dict(encoded), own, [encoded.word_ids(index) for index in range(len(encoded.encodings))]


def same(pair: Pair, *texts: Any, **options: Any) -> Any:
    """What both make of texts."""
    wanted, found = (outcome(made, *texts, **options) for made in pair)
    assert found == wanted, options
    return wanted


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", FAMILIES)
def test_texts_and_pairs(family: Callable[[str], Pair], name: str, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = family(name)
    for made in pair:
        monkeypatch.setattr(made, "truncation_side", side)
    firsts, seconds = [*TEXTS, TEXTS[-1], TEXTS[0]], [*TEXTS[::-1], TEXTS[-1], ""]
    rows = overflows = errors = 0
    for options in OPTIONS:
        for found in (
            same(pair, TEXTS, **options),
            same(pair, TEXTS, **options, **DETAILS),
            *(same(pair, [one], [other], **options, **DETAILS) for one, other in zip(firsts, seconds, strict=True)),
        ):
            if isinstance(found[0], dict):
                rows += len(found[0]["input_ids"])
                overflows += max(found[0].get("overflow_to_sample_mapping", [0])) < len(found[1]) - 1
            else:
                assert found[1].startswith("Truncation error")
                errors += 1
    assert min(rows, overflows, errors) > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_windows_of_a_second_text(family: Callable[[str], Pair], name: str) -> None:
    for question, context in itertools.product(TEXTS[:2], TEXTS):
        cut = {"truncation": "only_second", "max_length": 40, "stride": 3, "return_overflowing_tokens": True}
        columns, own, _ = same(family(name), question, context, **cut, **DETAILS)
        assert len(columns["input_ids"]) == len(own)
    assert len(own) > 1  # of the last, which is long


@pytest.mark.parametrize("name", FAMILIES)
def test_single_texts(family: Callable[[str], Pair], name: str) -> None:
    for text, options in itertools.product(TEXTS, [{}, {"truncation": True, "max_length": 7}, OPTIONS[-1]]):
        same(family(name), text, **options, **DETAILS)
        for other in TEXTS[:5]:
            same(family(name), text, other, **options, **DETAILS)


@pytest.mark.parametrize("name", FAMILIES)
def test_lists_of_words(family: Callable[[str], Pair], name: str) -> None:
    pair = family(name)
    texts = [["today", "is", "Zürich"], ["a"], [" two words", "", "🙂", "x\ny", "[MASK]", "<mask>"], TEXTS[-1].split()]
    for options in (OPTIONS[0], {"truncation": True, "max_length": 9}, OPTIONS[-1]):
        found = same(pair, texts, is_split_into_words=True, **options, **DETAILS)
        assert isinstance(found[0], dict), found


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_and_their_texts(family: Callable[[str], Pair], name: str) -> None:
    reference, plain = family(name)
    vocabulary = reference.get_vocab()
    assert plain.get_vocab() == vocabulary
    every = sorted(vocabulary.values())
    assert plain.convert_ids_to_tokens(every) == reference.convert_ids_to_tokens(every)
    assert [plain.decode(number) for number in every] == [reference.decode(number) for number in every]
    for text in TEXTS:
        ids = reference(text)["input_ids"]
        tokens = reference.convert_ids_to_tokens(ids)
        assert plain.convert_tokens_to_string(tokens) == reference.convert_tokens_to_string(tokens)
        for skip in (False, True):
            assert plain.decode(ids, skip_special_tokens=skip) == reference.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_tokenizer_says_of_itself(family: Callable[[str], Pair], name: str) -> None:
    reference, plain = family(name)
    for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        for attribute in (f"{kind}_token", f"{kind}_token_id"):
            assert getattr(plain, attribute) == getattr(reference, attribute), attribute
    for attribute in ("model_max_length", "model_input_names", "truncation_side", "pad_token_type_id", "is_fast"):
        assert getattr(plain, attribute) == getattr(reference, attribute), attribute
    for of_pairs in (False, True):
        assert plain.num_special_tokens_to_add(of_pairs) == reference.num_special_tokens_to_add(of_pairs)
        assert plain.num_special_tokens_to_add(pair=of_pairs) == reference.num_special_tokens_to_add(pair=of_pairs)
    with pytest.raises(AttributeError):
        _ = plain.chat_template


CONFIGURED: list[tuple[str, dict[str, Any]]] = [
    ("bert_base", {"clean_up_tokenization_spaces": True}),
    ("roberta_base", {"clean_up_tokenization_spaces": True}),
    ("xlm_roberta_languages", {"clean_up_tokenization_spaces": True}),
    ("bert_base", {"split_special_tokens": True}),
    ("xlm_roberta_languages", {"split_special_tokens": True}),
    ("bert_base", {"do_lower_case": False}),
    ("bert_base", {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False}),
    ("roberta_base", {"add_prefix_space": True}),
    ("gpt2_base", {"add_prefix_space": True, "add_bos_token": True}),
    ("gpt2_base", {"pad_token": "<filler>"}),
    ("bert_base", {"truncation_side": "left", "padding_side": "left"}),
    ("bert_base", {"model_max_length": 9}),
    ("roberta_base", {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}),
    ("bert_base", {"mask_token": "<new mask>", "extra_special_tokens": ["dog", "<extra>"]}),
    ("bert_base", {"tokenizer_class": "PreTrainedTokenizerFast"}),
]


@pytest.fixture
def configured(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[[str, dict[str, Any]], Path]:
    def make(name: str, values: dict[str, Any]) -> Path:
        folder = tmp_path / name
        shutil.copytree(tiny(name), folder)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return folder

    return make


@pytest.mark.parametrize(("name", "values"), CONFIGURED, ids=[f"{name}-{[*values]}" for name, values in CONFIGURED])
def test_settings_of_a_tokenizer(
    both: Callable[[Path], Pair],
    configured: Callable[[str, dict[str, Any]], Path],
    name: str,
    values: dict[str, Any],
) -> None:
    pair = both(configured(name, values))
    reference, plain = pair
    for options in (OPTIONS[0], {"truncation": True}, {"add_special_tokens": False}, OPTIONS[-1]):
        same(pair, [*TEXTS, "a <new mask> dog<extra> <filler>"], **options, **DETAILS)
        same(pair, TEXTS, TEXTS[::-1], **options, **DETAILS)
    for text in (*TEXTS, "is , this . n't 'm 's 've 're ' it ' ? !"):
        ids = reference(text)["input_ids"]
        assert plain.decode(ids) == reference.decode(ids)
        assert plain.decode(ids, skip_special_tokens=True) == reference.decode(ids, skip_special_tokens=True)
    for attribute in ("pad_token_id", "mask_token_id", "model_max_length"):
        assert getattr(plain, attribute) == getattr(reference, attribute)


def test_cleaning_up_changes_something(
    both: Callable[[Path], Pair], configured: Callable[[str, dict[str, Any]], Path]
) -> None:
    _, plain = both(configured("xlm_roberta_languages", {"clean_up_tokenization_spaces": True}))
    ids = plain("a dog .")["input_ids"]
    assert plain.decode(ids) != plain.backend_tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("texts", [["\ud800"], [["a", "\ud800"]]])
def test_half_a_character_is_no_text_for_either(family: Callable[[str], Pair], texts: list[Any]) -> None:
    kind, _ = same(family("bert_base"), texts, is_split_into_words=isinstance(texts[0], list))
    assert issubclass(kind, Exception)

"""Models of sentence-transformers whose modules are run without it, in every form of their files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from tests.models import text, vocabulary
from tests.unit.conftest import Encoders

from hf_runtime import InvalidInput
from hf_runtime.library_encoder import LibraryEncoder
from hf_runtime.library_scorer import LibraryScorer
from hf_runtime.pair_classifier import PairClassifier
from hf_runtime.pair_scorer import PairScorer
from hf_runtime.pooled_model import PooledModel
from hf_runtime.pooling import OLD_NAMES
from hf_runtime.sentence_encoder import SentenceEncoder

TEXTS = ["today is a sunny day", "x", "", "Ünïcödé 猫!", "the old horse " * 15, "a red bird", "the old horse " * 60]
MODES = tuple(OLD_NAMES.values())
PROMPTS = {"query": "question: ", "long": "the old horse saw a very large machine in the street: "}
PAIRS = [("where is the bird?", each) for each in TEXTS]

Change = Callable[[Path], None]


class Saved:
    """A model of the tiny BERT with other modules behind it, as the library saves it, and afterwards changed."""

    def __init__(self, base: Path, encoders: Encoders, home: Path) -> None:
        self.base, self.encoders, self.home = base, encoders, home
        self.weights = home / "1/weights"

    def __call__(self, *modules: Any, change: Change | None = None, **options: Any) -> SentenceEncoder:
        """The runtime's encoder of these modules."""
        first = () if modules and isinstance(modules[0], StaticEmbedding) else (Transformer(str(self.base)),)
        with text.seeded():
            model = SentenceTransformer(modules=[*first, *modules], device="cpu", **options)
        model.save(str(self.weights), create_model_card=False)
        if change is not None:
            change(self.weights)
        return self.encoder()

    def encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.encoders.settings(self.home))

    def original(self) -> SentenceTransformer:
        return SentenceTransformer(str(self.weights), device="cpu")


@pytest.fixture
def saved(models_dir: Path, encoders: Encoders, tmp_path: Path) -> Saved:
    return Saved(models_dir / "bert_base", encoders, tmp_path)


def rewrite(path: Path, **values: Any) -> None:
    """Sets values of a JSON file; None takes them away."""
    content = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def old_pooling(weights: Path) -> None:
    """The pooling's file as versions before 6 wrote it."""
    path = weights / "1_Pooling/config.json"
    said = json.loads(path.read_text())
    modes = [said["pooling_mode"]] if isinstance(said["pooling_mode"], str) else said["pooling_mode"]
    old = {"word_embedding_dimension": said["embedding_dimension"]}
    old |= {name: mode in modes for name, mode in OLD_NAMES.items()}
    path.write_text(json.dumps(old | {"include_prompt": said["include_prompt"]}))


def old_names(weights: Path) -> None:
    """modules.json with the classes' first names."""
    path = weights / "modules.json"
    listed = json.loads(path.read_text())
    names = {entry["name"]: f"sentence_transformers.models.{entry['type'].rpartition('.')[2]}" for entry in listed}
    path.write_text(json.dumps([{**entry, "type": names[entry["name"]]} for entry in listed]))


def same(encoder: SentenceEncoder, original: SentenceTransformer, **options: Any) -> None:
    """The runtime's vectors are the library's, and it was not the library that made them."""
    assert type(encoder._model) is PooledModel
    wanted = original.encode(TEXTS, **options)
    assert np.abs(wanted[0] - wanted[5]).max() > 0.005  # or parity would show nothing
    np.testing.assert_allclose(encoder.embed(TEXTS, **options), wanted, atol=1e-5)


@pytest.mark.parametrize("change", [None, old_pooling], ids=["new", "old"])
@pytest.mark.parametrize("mode", [*MODES, ("max", "cls"), MODES], ids=str)
def test_every_way_of_pooling(mode: Any, change: Change | None, saved: Saved) -> None:
    if change is not None and not isinstance(mode, str):
        mode = tuple(sorted(mode, key=MODES.index))  # the old form knows no order
    encoder = saved(Pooling(text.SIZE, pooling_mode=mode), change=change)
    same(encoder, saved.original())
    assert encoder.embed(["x"]).shape == (1, text.SIZE * (1 if isinstance(mode, str) else len(mode)))


def test_a_pooling_that_names_no_mode_takes_the_mean(saved: Saved) -> None:
    change = partial(rewrite, pooling_mode=None)
    encoder = saved(Pooling(text.SIZE, pooling_mode="cls"), change=lambda at: change(at / "1_Pooling/config.json"))
    same(encoder, saved.original())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("default", [None, "long"])
def test_a_prompt_need_not_count_in_the_pooling(mode: str, default: str | None, saved: Saved) -> None:
    encoder = saved(
        Pooling(text.SIZE, pooling_mode=mode, include_prompt=False), prompts=PROMPTS, default_prompt_name=default
    )
    same(encoder, saved.original())
    for name in PROMPTS:
        same(encoder, saved.original(), prompt_name=name)


@pytest.mark.parametrize("activation", ["Identity", "ReLU", "Sigmoid", "SiLU", "Tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers(activation: str, bias: bool, saved: Saved) -> None:
    with text.seeded():
        layers = [
            Dense(size, 24, bias=bias, activation_function=getattr(torch.nn, activation)()) for size in (text.SIZE, 24)
        ]
    encoder = saved(Pooling(text.SIZE), *layers, Normalize())
    same(encoder, saved.original())
    assert encoder.embed(["x"]).shape == (1, 24)
    with pytest.raises(InvalidInput, match="dimensions must be between 1 and 24, not 25"):
        encoder.embed(["x"], dimensions=25)


def in_type(dtype: torch.dtype, weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = weights / "2_Dense/model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize(
    "change",
    [
        partial(in_type, torch.float16),
        partial(in_type, torch.bfloat16),
        partial(in_type, torch.float64),
        lambda weights: rewrite(weights / "2_Dense/config.json", activation_function=None),
        old_names,
    ],
    ids=["fp16", "bf16", "fp64", "default activation", "old names"],
)
def test_files_of_dense_layers(change: Change, saved: Saved) -> None:
    with text.seeded():
        dense = Dense(text.SIZE, 12)
    same(saved(Pooling(text.SIZE), dense, change=change), saved.original())


def test_layer_norm_and_dropout(saved: Saved) -> None:
    norm = LayerNorm(text.SIZE)
    with text.seeded():
        torch.nn.init.normal_(norm.norm.weight)
        torch.nn.init.normal_(norm.norm.bias)
    same(saved(Pooling(text.SIZE), Dropout(0.5), norm, Normalize()), saved.original())


@pytest.mark.parametrize("said", [{"max_seq_length": 10}, {"tokenizer_args": {"model_max_length": 11}}], ids=str)
def test_a_model_may_have_a_shorter_window_than_its_transformer(said: dict[str, Any], saved: Saved) -> None:
    change = partial(rewrite, **said)
    encoder = saved(Pooling(text.SIZE), change=lambda at: change(at / "sentence_bert_config.json"))
    same(encoder, saved.original())
    assert max(encoder.embed_counted(TEXTS)[1]) == (said.get("max_seq_length") or 11)
    with pytest.raises(InvalidInput, match=r"but this model takes 1[01]"):
        encoder.embed(TEXTS, truncate=False)


def test_a_longer_window_than_the_transformers_is_not_believed(saved: Saved) -> None:
    encoder = saved(
        Pooling(text.SIZE), change=lambda at: rewrite(at / "sentence_bert_config.json", max_seq_length=1000)
    )
    assert max(encoder.embed_counted(TEXTS)[1]) == text.WINDOW


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
@pytest.mark.parametrize("lower_case", [True, False])
def test_texts_are_written_small_where_that_is_asked_for(
    name: str, lower_case: bool, encoders: Encoders, models_dir: Path, tmp_path: Path
) -> None:
    saved = Saved(models_dir / "roberta_base", encoders, tmp_path)

    def change(weights: Path) -> None:
        (weights / "sentence_bert_config.json").unlink()
        rewrite(weights / name, max_seq_length=text.WINDOW, do_lower_case=lower_case)

    encoder = saved(Pooling(text.SIZE), change=change)
    texts = [
        "The Old HORSE \u03a3\u0391\u03a3",
        "the old horse \u03c3\u03b1\u03c3",
    ]  # letter by letter, not as Greek is written
    vectors = encoder.embed(texts)
    np.testing.assert_allclose(vectors, saved.original().encode(texts), atol=1e-5)
    assert np.allclose(*vectors, atol=1e-5) == lower_case


def test_a_dimension_may_be_the_models_own(saved: Saved) -> None:
    encoder = saved(Pooling(text.SIZE), Normalize(), truncate_dim=7)
    same(encoder, saved.original())
    assert encoder.embed(["x"], normalize=False).shape == (1, 7)
    with pytest.raises(InvalidInput, match="dimensions must be between 1 and 7, not 8"):
        encoder.embed(["x"], dimensions=8)


def test_a_default_prompt_that_is_not_there_is_named(saved: Saved) -> None:
    with pytest.raises(ValueError, match="names the default prompt 'nope', but has: query, document"):
        saved(
            Pooling(text.SIZE),
            change=lambda at: rewrite(at / "config_sentence_transformers.json", default_prompt_name="nope"),
        )


def test_a_text_without_tokens_has_zeros(encoders: Encoders) -> None:
    encoder = encoders.of_sentences("gpt2_base")
    for texts in (["", "a red bird"], ["", ""]):
        vectors, counts = encoder.embed_counted(texts)
        assert counts[0] == 0
        assert not vectors[0].any()
    assert encoder.embed([""], normalize=True).tolist() == [[0.0] * text.SIZE]


def test_the_encoder_alone_of_a_model_with_a_decoder(encoders: Encoders, tmp_path: Path) -> None:
    base = tmp_path / "base"
    tokenizer = vocabulary.word_pieces(text.WINDOW)
    sizes = {"d_model": text.SIZE, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "initializer_factor": 2.0}
    config = transformers.T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes)
    with text.seeded():
        transformers.T5Model(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    saved = Saved(base, encoders, tmp_path)
    same(saved(Pooling(text.SIZE), Dense(text.SIZE, 8)), saved.original())
    shutil.rmtree(saved.weights)
    shutil.copytree(base, saved.weights)  # plain, without modules.json
    same(saved.encoder(), saved.original())


def test_the_last_token_of_a_plain_model_that_writes(encoders: Encoders, models_dir: Path, tmp_path: Path) -> None:
    saved = Saved(models_dir / "gpt2_base", encoders, tmp_path)
    shutil.copytree(saved.base, saved.weights)
    rewrite(saved.weights / "config.json", architectures=["GPT2ForCausalLM"])
    texts = [each for each in TEXTS if each]
    encoder, original = saved.encoder(), saved.original()
    original.tokenizer.pad_token = original.tokenizer.eos_token
    wanted = [original.encode(each) for each in texts]
    np.testing.assert_allclose(encoder.embed(texts), wanted, atol=1e-5)
    assert original[1].pooling_mode == "lasttoken"


LIBRARY_ONLY: dict[str, Callable[[Saved], SentenceEncoder]] = {
    "activation": lambda saved: saved(Pooling(text.SIZE), Dense(text.SIZE, 4, activation_function=torch.nn.GELU())),
    "residual": lambda saved: saved(Pooling(text.SIZE), Dense(text.SIZE, text.SIZE, use_residual=True)),
    "static": lambda saved: saved(
        StaticEmbedding(vocabulary.word_pieces(text.WINDOW).backend_tokenizer, embedding_dim=8), Normalize()
    ),
    "processing": lambda saved: saved(
        Pooling(text.SIZE),
        change=lambda at: rewrite(at / "sentence_bert_config.json", processing_kwargs={"text": {"max_length": 9}}),
    ),
}


@pytest.mark.parametrize("name", LIBRARY_ONLY)
def test_other_models_are_the_librarys(name: str, saved: Saved) -> None:
    encoder = LIBRARY_ONLY[name](saved)
    assert type(encoder._model) is LibraryEncoder
    texts = [each for each in TEXTS if each]
    original = saved.original()
    np.testing.assert_allclose(encoder.embed(texts), original.encode(texts), atol=1e-5)
    np.testing.assert_allclose(
        encoder.embed(texts, dimensions=3, normalize=True),
        original.encode(texts, truncate_dim=3, normalize_embeddings=True),
        atol=1e-5,
    )


def test_tokens_of_static_embeddings_are_counted(saved: Saved) -> None:
    encoder = LIBRARY_ONLY["static"](saved)
    assert encoder.embed_counted(["a red bird", "x y"])[1] == [3, 2]
    assert encoder.embed_counted(["a red bird"], count_tokens=False)[1] == [0]
    assert encoder.embed(["a red bird"], truncate=False, truncation_direction="left").shape == (1, 8)


def scored(folder: Path, weights: Path, encoders: Encoders, change: Change) -> PairScorer:
    shutil.copytree(folder, weights)
    change(weights)
    return PairScorer(encoders.settings(weights.parent.parent))


SAID = {
    "today's Tanh": ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.activation.Tanh"}),
    "today's Identity": ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.linear.Identity"}),
    "none": ("config_sentence_transformers.json", {"activation_fn": None}),
    "window": ("sentence_bert_config.json", {"max_seq_length": 20}),
}


@pytest.mark.parametrize("name", SAID)
def test_what_the_library_says_of_a_cross_encoder(
    name: str, tiny: Callable[[str], Path], encoders: Encoders, tmp_path: Path
) -> None:
    file, values = SAID[name]
    weights = tmp_path / "1/weights"
    scorer = scored(tiny("bert_cross_encoder"), weights, encoders, lambda at: rewrite(at / file, **values))
    assert type(scorer._model) is PairClassifier
    wanted = CrossEncoder(str(weights), device="cpu").predict(PAIRS)
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose(scorer.scores(PAIRS), wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"])
def test_the_oldest_place_of_a_cross_encoders_activation(
    name: str, tiny: Callable[[str], Path], encoders: Encoders, tmp_path: Path
) -> None:
    weights = tmp_path / "1/weights"
    change = partial(rewrite, sentence_transformers=None, sbert_ce_default_activation_function=name)
    scorer = scored(tiny("bert_raw_cross_encoder"), weights, encoders, lambda at: change(at / "config.json"))
    assert type(scorer._model) is PairClassifier
    wanted = CrossEncoder(str(weights), device="cpu").predict(PAIRS)
    np.testing.assert_allclose(scorer.scores(PAIRS), wanted, atol=1e-5)


def test_a_cross_encoder_with_a_default_prompt_is_the_librarys(
    tiny: Callable[[str], Path], encoders: Encoders, tmp_path: Path
) -> None:
    weights = tmp_path / "1/weights"
    change = partial(rewrite, prompts={"rank": "rank: "}, default_prompt_name="rank")
    scorer = scored(
        tiny("bert_cross_encoder"), weights, encoders, lambda at: change(at / "config_sentence_transformers.json")
    )
    assert type(scorer._model) is LibraryScorer
    wanted = CrossEncoder(str(weights), device="cpu").predict(PAIRS)
    np.testing.assert_allclose(scorer.scores(PAIRS), wanted, atol=1e-5)
    np.testing.assert_allclose(scorer.scores(PAIRS, raw_scores=True), np.log(wanted) - np.log1p(-wanted), atol=1e-3)


def test_very_low_scores_are_told_apart() -> None:
    from hf_runtime.activation import sigmoid

    logits = np.array([-200, -30, -20, -19.99, 0, 20, 200], dtype=np.float32)
    np.testing.assert_allclose(sigmoid(logits), torch.sigmoid(torch.from_numpy(logits)).numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["sentence_encoder", "pair_scorer", "onnx_engine", "plain_tokenizer"])
def test_a_process_with_a_graph_needs_no_torch(name: str) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'sentence_transformers']))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", f"{blocked}; import hf_runtime.{name}"], env=environment, check=True)

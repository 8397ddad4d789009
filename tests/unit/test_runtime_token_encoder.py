"""Token vectors are those of transformers' own pipeline, whatever else is in the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import transformers
from tests.models.text import SIZE, WINDOW

from hf_runtime import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Encoders

    from hf_runtime.token_encoder import TokenEncoder

BASES = ("bert_base", "roberta_base", "gpt2_base")
SHORT = "a red bird"
TEXTS = ["today is a sunny day", "x", "", "Ünïcödé 猫!", "the old horse " * 15]
LONG = "the old horse saw a very large machine in the street. " * 20

each_base = pytest.mark.parametrize("base", BASES)


@pytest.fixture(scope="module")
def pipelines(models_dir: Path) -> dict[str, Any]:
    return {name: transformers.pipeline("feature-extraction", str(models_dir / name), device="cpu") for name in BASES}


@pytest.fixture
def encoder(encoders: Encoders, base: str) -> TokenEncoder:
    return encoders.of_tokens(base)


@each_base
def test_a_text_alone_has_the_pipelines_vectors(encoder: TokenEncoder, base: str, pipelines: dict[str, Any]) -> None:
    for text in (text for text in TEXTS if text or base != "gpt2_base"):  # for GPT-2 no text is no token at all
        (states,) = encoder.states([text])
        np.testing.assert_allclose(states, pipelines[base](text)[0], atol=1e-5)
        assert states.dtype == np.float32


@each_base
def test_longer_neighbours_change_nothing(encoder: TokenEncoder, base: str, pipelines: dict[str, Any]) -> None:
    texts = [text for text in TEXTS if text]
    for text, states in zip(texts, encoder.states(texts), strict=True):
        np.testing.assert_allclose(states, pipelines[base](text)[0], atol=1e-5)


@each_base
def test_other_texts_have_other_vectors(encoder: TokenEncoder) -> None:
    red, old = encoder.states(["a red bird", "an old bird"])
    assert np.abs(red[-1] - old[-1]).max() > 0.1  # or parity would show nothing


def test_a_text_of_no_tokens_has_no_vectors_alone_or_with_others(encoders: Encoders) -> None:
    encoder = encoders.of_tokens("gpt2_base")
    assert [states.shape for states in encoder.states(["", ""])] == [(0, SIZE)] * 2
    assert [len(states) for states in encoder.states(["", SHORT])] == [0, len(encoder.states([SHORT])[0])]


@each_base
def test_a_text_beyond_the_window_is_cut_to_it(encoder: TokenEncoder) -> None:
    long, short = encoder.states([LONG, SHORT])
    assert long.shape == (WINDOW, SIZE)
    assert len(short) < WINDOW


@each_base
def test_a_cut_text_keeps_its_beginning_or_its_end(encoder: TokenEncoder) -> None:
    words = " ".join(f"{word} day" for word in ("red", "old", "sad", "big") * 20)
    cut = {side: encoder.tokenizer.decode(_kept(encoder, words, side)) for side in ("left", "right")}
    assert encoder.states([words], truncation_direction="right")[0].tolist() == encoder.states([words])[0].tolist()
    for side, kept in cut.items():
        expected = encoder.states([kept], truncation_direction=side)[0]
        np.testing.assert_allclose(encoder.states([words], truncation_direction=side)[0], expected, atol=1e-5)
    assert cut["left"] != cut["right"]


@each_base
def test_the_side_of_a_cut_is_forgotten_after_it(encoder: TokenEncoder) -> None:
    before = encoder.states([LONG])[0]
    encoder.states([LONG], truncation_direction="left")
    np.testing.assert_array_equal(encoder.states([LONG])[0], before)


@each_base
def test_a_text_beyond_the_window_is_refused_where_it_must_not_be_cut(encoder: TokenEncoder) -> None:
    with pytest.raises(InvalidInput, match=rf"a text has \d+ tokens, but this model takes {WINDOW}"):
        encoder.states([SHORT, LONG], truncate=False)
    assert len(encoder.states([SHORT], truncate=False)) == 1


@each_base
def test_a_text_as_long_as_the_window_is_not_refused(encoder: TokenEncoder) -> None:
    special = len(encoder.tokenizer("")["input_ids"])
    text = " day" * (WINDOW - special)
    assert len(encoder.states([text], truncate=False)[0]) == WINDOW
    with pytest.raises(InvalidInput, match=f"a text has {WINDOW + 1} tokens"):
        encoder.states([text + " day"], truncate=False)


def test_a_tokenizer_that_pads_on_the_left_does_not_move_the_tokens(
    models_dir: Path, tmp_path: Path, encoders: Encoders
) -> None:
    from hf_runtime.token_encoder import TokenEncoder

    for part in (
        transformers.AutoModel.from_pretrained(models_dir / "gpt2_base"),
        transformers.AutoTokenizer.from_pretrained(models_dir / "gpt2_base", padding_side="left"),
    ):
        part.save_pretrained(tmp_path / "1/weights")
    encoder = TokenEncoder(encoders.settings(tmp_path))
    (alone,) = encoder.states([SHORT])
    np.testing.assert_allclose(encoder.states([SHORT, LONG])[0], alone, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("bf16", 0.2), ("fp32", 1e-6)])
def test_vectors_are_fp32_in_every_dtype(encoders: Encoders, models_dir: Path, dtype: str, tolerance: float) -> None:
    from hf_runtime.token_encoder import TokenEncoder

    encoder = TokenEncoder(encoders.settings(encoders.folder("bert_base"), dtype=dtype))
    (states,) = encoder.states([SHORT])
    assert states.dtype == np.float32
    np.testing.assert_allclose(states, encoders.of_tokens("bert_base").states([SHORT])[0], atol=tolerance)


def test_a_dtype_without_meaning_is_named(encoders: Encoders) -> None:
    from hf_runtime.token_encoder import TokenEncoder

    with pytest.raises(ValueError, match=r"parameter dtype in config\.pbtxt must be auto, fp32, .* not 'fp8'"):
        TokenEncoder(encoders.settings(encoders.folder("bert_base"), dtype="fp8"))


def _kept(encoder: TokenEncoder, text: str, side: str) -> list[int]:
    """The tokens between the special ones that fit into the window, from one side."""
    tokens = encoder.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    room = WINDOW - len(encoder.tokenizer("")["input_ids"])
    return list(tokens[:room] if side == "right" else tokens[-room:])

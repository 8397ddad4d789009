from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hub2triton.error import TaskMismatchError
from hub2triton.generate import facts
from hub2triton.tasks.spec import Library

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, **files: Any) -> facts.Facts:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return facts.read(folder)


def test_a_transformers_model(tmp_path: Path) -> None:
    found = read(tmp_path, config={"architectures": ["BertModel"]})
    assert found == facts.Facts(("BertModel",), Library.TRANSFORMERS)


def test_a_sentence_transformers_model(tmp_path: Path) -> None:
    found = read(tmp_path, config={"architectures": ["BertModel"]}, modules=[])
    kind = "SentenceTransformer"
    assert found == facts.Facts(("BertModel",), Library.SENTENCE_TRANSFORMERS, kind=kind)


def test_a_cross_encoder(tmp_path: Path) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text('{"model_type": "CrossEncoder"}')
    assert read(tmp_path, modules=[]).kind == "CrossEncoder"


def test_a_sentence_transformers_model_without_a_config(tmp_path: Path) -> None:
    found = read(tmp_path, modules=[])
    assert found == facts.Facts((), Library.SENTENCE_TRANSFORMERS, kind="SentenceTransformer")


def test_a_diffusion_pipeline(tmp_path: Path) -> None:
    assert read(tmp_path, model_index={}) == facts.Facts((), Library.DIFFUSERS)


def test_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == facts.Facts((), None)


@pytest.mark.parametrize("config", [{"a": 1}, {"architectures": None}, {"architectures": []}])
def test_a_model_may_name_no_architecture(config: Any, tmp_path: Path) -> None:
    assert read(tmp_path, config=config) == facts.Facts((), Library.TRANSFORMERS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "config.json of the model cannot be read"),
        (b"\xff", "config.json of the model cannot be read"),
        (b"[]", "config.json of the model holds no JSON object"),
        (b'{"architectures": "BertModel"}', "its architectures are no list"),
    ],
)
def test_a_damaged_config_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(TaskMismatchError, match=words):
        facts.read(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(TaskMismatchError, match=r"config\.json of the model cannot be read"):
        facts.read(tmp_path)


def test_names_match_glob_patterns_with_their_case() -> None:
    assert facts.matches(["*Model"], ["BertForMaskedLM", "BertModel"])
    assert not facts.matches(["*Model"], ["BertModelX", "bertmodel"])
    assert facts.matches(["*.bin"], ["0_Transformer/pytorch_model.bin"])
    assert not facts.matches([], ["a"])
    assert not facts.matches(["*"], [])

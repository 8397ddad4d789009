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


@pytest.mark.parametrize(
    ("config", "packages"),
    [
        ({"use_timm_backbone": True}, ("timm>=1.0",)),
        ({"backbone_config": {"model_type": "timm_backbone"}}, ("timm>=1.0",)),
        ({"use_timm_backbone": False, "backbone_config": {"model_type": "resnet"}}, ()),
        ({"backbone_config": None}, ()),
    ],
)
def test_a_backbone_of_timms_needs_timm(config: dict[str, Any], packages: tuple[str, ...], tmp_path: Path) -> None:
    assert read(tmp_path, config=config).packages == packages


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


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({"label2id": {"no": 0, "yes": 1}, "id2label": {"0": "a", "1": "b"}}, ("no", "yes")),
        ({"id2label": {"0": "a", "1": "b"}}, ("a", "b")),
        ({"label2id": {}, "id2label": {"0": 5}}, ("5",)),
        ({"label2id": None, "id2label": ["a"]}, ()),
        ({}, ()),
    ],
)
def test_labels_are_those_that_transformers_looks_up(config: Any, labels: tuple[str, ...], tmp_path: Path) -> None:
    assert read(tmp_path, config=config).labels == labels


def test_a_model_may_come_with_its_own_code(tmp_path: Path) -> None:
    assert read(tmp_path, config={"auto_map": {"AutoModel": "modeling_own.Own"}}).own_code
    assert not read(tmp_path, config={"auto_map": {}}).own_code


def test_a_diffusion_pipeline_is_its_class_and_its_components(tmp_path: Path) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "vae": ["diffusers", "AutoencoderKL"],
    }
    found = read(tmp_path, model_index=index)
    assert (found.architectures, found.library) == (("StableDiffusionPipeline",), Library.DIFFUSERS)
    assert found.components == ("unet", "vae")
    assert read(tmp_path, model_index={}).architectures == ()


def test_the_lines_of_requirements(tmp_path: Path) -> None:
    assert read(tmp_path).requirements == ()
    path = tmp_path / "requirements.txt"
    path.write_text("\ufeff# needed\neinops==0.8  # why\n\n  --extra-index-url https://example.com\r\n")
    assert read(tmp_path).requirements == ("einops==0.8  # why", "--extra-index-url https://example.com")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TaskMismatchError, match=r"requirements\.txt of the model cannot be read"):
        read(tmp_path)

from __future__ import annotations

import pytest

from hub2triton.generate.source import SourceFile
from hub2triton.generate.weights import is_pickled, safe_name, select
from hub2triton.tasks.spec import Library

COMPONENTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
PLAIN = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
"""A pipeline saved once, in one form."""


def selected(*paths: str) -> list[str]:
    return [file.path for file in select(SourceFile(path, 1) for path in paths)]


@pytest.mark.parametrize(
    "path",
    [
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/pytorch_model.bin",
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "modeling_custom.py",
        "chat_template.jinja",
        "prompts/readable.json",
    ],
)
def test_what_a_torch_model_reads_is_taken(path: str) -> None:
    assert selected(path) == [path]


@pytest.mark.parametrize(
    "path",
    [
        "tf_model.h5",
        "flax_model.msgpack",
        "rust_model.ot",
        "model.onnx",
        "onnx/model.onnx",
        "onnx/config.json",
        "onnx/model.onnx_data",
        "openvino/openvino_model.bin",
        "openvino/openvino_model.xml",
        "coreml/model.mlmodel",
        "gguf/model.bin",
        "model-q4.gguf",
        "original/consolidated.00.pth",
        "saved_model.pb",
        "README.md",
        "docs/usage.md",
        "LICENSE",
        "LICENSE.txt",
        "NOTICE",
        ".gitattributes",
        ".gitignore",
        ".cache/huggingface/x.json",
        "picture.png",
        "photo.jpeg",
        "demo.ipynb",
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state_0.pth",
        "trainer_state.json",
        "runs/Jan01/events.out",
        "checkpoint-500/model.safetensors",
    ],
)
def test_what_no_torch_model_reads_is_left(path: str) -> None:
    assert selected(path) == []


def test_safetensors_are_taken_rather_than_pickled_weights() -> None:
    assert selected("model.safetensors", "pytorch_model.bin") == ["model.safetensors"]
    pickled = [
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
        "model.pt",
        "model.pth",
        "model.ckpt",
    ]
    assert selected("model-00001-of-00002.safetensors", *pickled) == ["model-00001-of-00002.safetensors"]


def test_pickled_weights_are_left_only_beside_safetensors() -> None:
    paths = ["2_Dense/pytorch_model.bin", "model.safetensors"]
    assert selected(*paths) == paths
    assert selected("onnx/model.safetensors", "pytorch_model.bin") == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    ("pickled", "safe"),
    [
        ("pytorch_model.bin", "model.safetensors"),
        ("2_Dense/pytorch_model.bin", "2_Dense/model.safetensors"),
        ("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"),
        ("pytorch_model.bin.index.json", "model.safetensors.index.json"),
        ("text_encoder/pytorch_model.fp16.bin", "text_encoder/model.fp16.safetensors"),
        ("text_encoder/pytorch_model.bin.index.fp16.json", "text_encoder/model.safetensors.index.fp16.json"),
        ("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors"),
        ("unet/diffusion_pytorch_model.fp16.bin", "unet/diffusion_pytorch_model.fp16.safetensors"),
        ("adapter_model.bin", "adapter_model.safetensors"),
    ],
)
def test_pickled_weights_have_a_safe_name(pickled: str, safe: str) -> None:
    assert is_pickled(pickled)
    assert safe_name(pickled) == safe
    assert not is_pickled(safe)


@pytest.mark.parametrize("path", ["model.bin", "vocab.bin", "my_pytorch_model.bin", "pytorch_model.bin.md", "a.bin/b"])
def test_other_files_are_no_weights_of_a_library(path: str) -> None:
    assert not is_pickled(path)


def test_files_are_taken_in_their_order_with_their_sizes() -> None:
    files = (SourceFile("b.json", 2), SourceFile("README.md", 1), SourceFile("a.json", None))
    assert select(files) == (files[0], files[2])


def of_pipeline(*paths: str) -> list[str]:
    return [file.path for file in select((SourceFile(path, 1) for path in paths), Library.DIFFUSERS, COMPONENTS)]


def test_a_pipeline_is_its_index_and_its_components() -> None:
    assert of_pipeline(*PLAIN) == PLAIN
    beside = [
        "v1-5-pruned-emaonly.safetensors",
        "v1-5-pruned.ckpt",
        "config.json",
        "comfy/model.safetensors",
        "safety_checker/model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_flax_model.msgpack",
        "unet/openvino_model.bin",
        "unet/openvino_model.xml",
        "text_encoder/model.fp16-00001-of-00002.safetensors",
        "text_encoder/model.safetensors.index.fp16.json",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.onnx",
        "README.md",
        "LICENSE",
        ".gitattributes",
        "images/example.png",
    ]
    assert of_pipeline(*PLAIN, *beside) == PLAIN


@pytest.mark.parametrize(
    ("beside", "taken"),
    [
        (["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.fp16.bin"], ["fp16.safetensors"]),
        (["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"], ["fp16.safetensors"]),
        (["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin"], ["diffusion_pytorch_model.bin"]),
        (["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.ema.safetensors"], ["ema.safetensors"]),
        (
            [
                "diffusion_pytorch_model.safetensors.index.fp16.json",
                "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
                "diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
            ],
            ["index.fp16.json", "fp16-00001-of-00002.safetensors", "00002-of-00002.fp16.safetensors"],
        ),
        (
            [
                "diffusion_pytorch_model.safetensors.index.json",
                "diffusion_pytorch_model-00001-of-00001.safetensors",
                "diffusion_pytorch_model.fp16.safetensors",
            ],
            ["safetensors.index.json", "00001-of-00001.safetensors"],
        ),
    ],
    ids=str,
)
def test_of_a_component_one_variant_is_taken(beside: list[str], taken: list[str]) -> None:
    found = of_pipeline("model_index.json", "unet/config.json", *(f"unet/{name}" for name in beside))
    assert found[:2] == ["model_index.json", "unet/config.json"]
    assert [path for path, end in zip(found[2:], taken, strict=True) if not path.endswith(end)] == []


def test_a_pipelines_own_code_is_taken() -> None:
    code = ["model_index.json", "pipeline.py", "unet/my_unet.py", "unet/config.json"]
    assert of_pipeline(*code) == code


def test_a_pipeline_that_names_no_components_keeps_its_folders() -> None:
    files = [SourceFile("model_index.json", 1), SourceFile("any/model.safetensors", 1), SourceFile("x.ckpt", 1)]
    assert select(files, Library.DIFFUSERS) == tuple(files[:2])


def test_code_of_the_models_own_may_read_any_file() -> None:
    kept = ["handler.py", "README.md", "model.onnx", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "a/.env"]
    files = [SourceFile(path, 1) for path in [*kept, ".gitattributes", ".git/config", "sub/.gitignore"]]
    assert [file.path for file in select(files, Library.CUSTOM)] == kept

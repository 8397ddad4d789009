from __future__ import annotations

import pytest

from hub2triton.generate.source import SourceFile
from hub2triton.generate.weights import select


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


def test_files_are_taken_in_their_order_with_their_sizes() -> None:
    files = (SourceFile("b.json", 2), SourceFile("README.md", 1), SourceFile("a.json", None))
    assert select(files) == (files[0], files[2])

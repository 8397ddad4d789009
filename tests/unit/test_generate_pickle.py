"""Pickled weights: refused, or made safetensors before anything loads them; never run, never served."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.asked import Asked
from tests.generated import initialized
from tests.unit.test_generate_plan import CROSS, FILES, PARTS, PIPELINE, PLAIN, SENTENCE, make, source
from transformers import AutoModelForMaskedLM

from hub2triton.error import TaskMismatchError, UsageError
from hub2triton.generate.command import main
from hub2triton.generate.options import Weights

Tiny = Callable[[str], Path]


class Program:
    """What a pickle can be: a call of anything."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def pickled(folder: Path, *, legacy: bool = False) -> Path:
    """A model's folder with its safetensors turned into what torch.save writes, under the names of old times."""
    for path in list(folder.rglob("*.safetensors")):
        name = path.name if path.name.startswith("diffusion") else f"pytorch_{path.name}"
        torch.save(
            load_file(path),
            path.with_name(name.replace(".safetensors", ".bin")),
            _use_new_zipfile_serialization=not legacy,
        )
        path.unlink()
    return folder


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def generated(capsys: pytest.CaptureFixture[str], folder: Path, output: Path, *options: str) -> tuple[int, str]:
    capsys.readouterr()  # what building the model showed
    code = main([str(folder), "--output", str(output), "--name", "m", *options])
    shown = capsys.readouterr()
    return code, shown.err if code else shown.out


CASES = [
    (PLAIN, "feature-extraction", ["config.json", "tokenizer.json", "pytorch_model.bin"]),
    (
        PLAIN,
        "feature-extraction",
        ["config.json", "tokenizer.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"],
    ),
    (PLAIN, "feature-extraction", ["config.json", "tokenizer.json", "onnx/model.safetensors", "pytorch_model.bin"]),
    (
        SENTENCE,
        "sentence-embeddings",
        ["modules.json", "tokenizer.json", "model.safetensors", "2_Dense/pytorch_model.bin"],
    ),
    (SENTENCE, "sentence-embeddings", ["modules.json", "tokenizer.json", "0_Transformer/pytorch_model.bin"]),
    (CROSS, "sentence-ranking", ["config.json", "tokenizer.json", "pytorch_model.bin"]),
    (PIPELINE, "text-to-image", [*PARTS[:2], "vae/diffusion_pytorch_model.bin"]),
    (PIPELINE, "text-to-image", [*PARTS[:2], "vae/diffusion_pytorch_model.fp16.bin"]),
    (PLAIN, "feature-extraction", ["config.json", "tokenizer.json", "model.safetensors", "adapter/adapter_model.bin"]),
]


@pytest.mark.parametrize(("facts", "task", "files"), CASES, ids=lambda value: value[-1] if type(value) is list else "")
def test_a_model_of_pickles_is_refused_unless_it_is_asked_for(facts: Any, task: str, files: list[str]) -> None:
    with pytest.raises(TaskMismatchError, match=r"a pickle can hold code; choose .* --allow-pickle") as caught:
        make(facts, source(*files), task=task)
    assert caught.value.exit_code == 4
    made = make(facts, source(*files), task=task, allow_pickle=True)
    assert set(made.pickled) == {path for path in files if ".bin" in path}
    with pytest.raises(UsageError, match="--weights hub leaves"):
        make(facts, source(*files), task=task, allow_pickle=True, weights=Weights.HUB)


def test_neither_is_a_graph_made_from_pickles() -> None:
    files = ["config.json", "tokenizer.json", "pytorch_model.bin"]
    for more in ([], ["onnx/model.onnx"]):
        with pytest.raises(TaskMismatchError, match="--allow-pickle"):
            make(PLAIN, source(*files, *more), onnx=True)
        made = make(PLAIN, source(*files, *more), onnx=True, allow_pickle=True)
        assert made.pickled == ("pytorch_model.bin",)
        assert "pytorch_model.bin" not in [file.path for file in made.files]


def test_what_lies_beside_safetensors_is_not_asked_about() -> None:
    made = make(found=source(*FILES, "pytorch_model.bin", "pytorch_model.bin.index.json"))
    assert made.pickled == ()
    assert make(PIPELINE, source(*PARTS, "vae/diffusion_pytorch_model.bin"), task="text-to-image").pickled == ()
    graph_alone = source("config.json", "tokenizer.json", "onnx/model.onnx")
    assert make(PLAIN, graph_alone, onnx=True).pickled == ()


def test_code_of_a_models_own_opens_what_it_wants() -> None:
    made = make(found=source("handler.py", "pytorch_model.bin"), task="custom")
    assert [file.path for file in made.files] == ["handler.py", "pytorch_model.bin"]
    assert made.pickled == ()


def test_the_command_refuses_and_writes_nothing(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pickled(copied(tiny("bert_masked"), tmp_path / "model"))
    code, told = generated(capsys, folder, tmp_path / "out")
    assert code == 4
    assert told.count("\n") == 1
    assert "pytorch_model.bin" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("fill-mask", "bert_masked"),
        ("sentence-embeddings", "sentence_prompts"),
        ("text-to-image", "stable_diffusion"),
    ],
)
def test_what_is_converted_answers_as_the_safetensors_do(
    task: str, name: str, legacy: bool, tiny: Tiny, tmp_path: Path
) -> None:
    folder = pickled(copied(tiny(name), tmp_path / "pickled"), legacy=legacy)
    found = Asked(task, folder, tmp_path / "out", allow_pickle=True)
    own = Asked(task, tiny(name), tmp_path / "out")
    example = found.spec.example
    certain = {"seed": 1} if task == "text-to-image" else {}
    assert found(example["inputs"], **certain) == own(example["inputs"], **certain)
    weights = found.folder / "1/weights"
    assert not list(weights.rglob("*.bin"))
    for path in tiny(name).rglob("*.safetensors"):
        ours, theirs = load_file(weights / path.relative_to(tiny(name))), load_file(path)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    manifest = json.loads((found.folder / "manifest.json").read_text())
    assert sorted(manifest["pickled"]) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.bin"))
    assert "pickled" not in json.loads((own.folder / "manifest.json").read_text())


def test_shards_and_tied_weights(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(tiny("bert_masked"), tmp_path / "model")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    state = model.state_dict()  # with the tied ones, in the same memory
    assert len({tensor.data_ptr() for tensor in state.values()}) < len(state)
    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for shard, part in shards.items():
        torch.save({name: state[name] for name in part}, folder / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard, part in shards.items() for name in part}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert generated(capsys, folder, tmp_path / "out", "--allow-pickle")[0] == 0
    weights = tmp_path / "out/m/1/weights"
    assert not list(weights.glob("*.bin*"))
    found = AutoModelForMaskedLM.from_pretrained(weights, use_safetensors=True).state_dict()
    assert all(torch.equal(found[name], state[name]) for name in names)
    for path in (tmp_path / "out/m").rglob("*"):
        os.utime(path, ns=(1, 1))
    assert "nothing changed" in generated(capsys, folder, tmp_path / "out", "--allow-pickle")[1]
    assert generated(capsys, folder, tmp_path / "out", "--allow-pickle", "--check")[0] == 0
    assert not list(tmp_path.glob(".hub2triton-*"))


@pytest.fixture
def bert(tiny: Tiny, tmp_path: Path) -> Path:
    """A model without its weights."""
    folder = copied(tiny("bert_masked"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    return folder


def bombs(path: Path, mark: Path) -> None:
    """An archive that unpacks to a thousand times its size, as zip programs pack it and torch does not."""
    torch.save({"a": torch.zeros(100_000_000, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as plain:
        content = {entry: plain.read(entry) for entry in plain.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, data in content.items():
            packed.writestr(entry, data)
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "write",
    [
        lambda path, mark: torch.save({"a": Program(mark)}, path),
        lambda path, mark: torch.save({"a": Program(mark)}, path, _use_new_zipfile_serialization=False),
        lambda path, mark: torch.save(Program(mark), path),
        lambda path, mark: torch.save(torch.nn.Linear(2, 2), path),
        lambda path, mark: torch.save({"a": 1}, path),
        lambda path, mark: torch.save([torch.ones(1)], path),
        lambda path, mark: path.write_bytes(b"no pickle"),
        lambda path, mark: path.write_bytes(b""),
        bombs,
    ],
    ids=[
        "a program",
        "an old program",
        "a mere program",
        "a module",
        "numbers",
        "a list",
        "a text",
        "nothing",
        "a bomb",
    ],
)
def test_what_is_no_table_of_tensors_is_refused_and_not_run(
    write: Callable[[Path, Path], object], bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "it ran"
    write(bert / "pytorch_model.bin", mark)
    code, told = generated(capsys, bert, tmp_path / "out", "--allow-pickle")
    assert code == 4, told
    assert told.count("\n") == 1
    assert "cannot be made safetensors" in told
    assert not mark.exists()
    assert not (tmp_path / "out/m").exists()
    assert not list(tmp_path.glob(".hub2triton-*"))


@pytest.mark.parametrize(
    ("task", "name", "part"),
    [
        ("fill-mask", "bert_masked", "model.safetensors"),
        ("sentence-embeddings", "sentence_mean", "model.safetensors"),
        ("sentence-embeddings", "sentence_prompts", "2_Dense/model.safetensors"),
        ("text-to-image", "stable_diffusion", "unet/diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_pickle_put_into_a_repository_is_not_opened(
    task: str, name: str, part: str, tiny: Tiny, tmp_path: Path
) -> None:
    """Whoever can do that can do more; but no library is to fall back on one by itself."""
    made = Asked(task, tiny(name), tmp_path / "out")
    assert made(made.spec.example["inputs"])
    path = made.folder / "1/weights" / part
    mark = tmp_path / "it ran"
    torch.save({"a": Program(mark)}, path.with_name(pickle_of(path.name)))
    path.unlink()
    with pytest.raises(Exception, match=r"safetensors|no file|No such file"):
        initialized(made.folder)
    assert not mark.exists()


def pickle_of(name: str) -> str:
    return (name if name.startswith("diffusion") else f"pytorch_{name}").replace(".safetensors", ".bin")

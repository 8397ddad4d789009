"""generate-repo --onnx as its user sees it, with a small model in a local directory."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.numpy import load_file, save_file
from tests import generated

from hub2triton.generate import command, manifest, tuning
from hub2triton.generate.export import maker, process
from hub2triton.generate.export.graph_plan import GraphPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRAPH_FILES = {"1/model.onnx", "1/model.onnx.data", "1/onnx.json", "1/weights/tokenizer.json"}


@dataclass(frozen=True)
class Result:
    exit_code: int
    output: str
    errors: str


@pytest.fixture(autouse=True, scope="module")
def own_signals() -> Iterator[None]:
    """The command takes SIGTERM for itself; the tests get theirs back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs generate-repo --onnx."""

    def run(model: Path, *arguments: str, onnx: tuple[str, ...] = ("--onnx",)) -> Result:
        try:
            code = command.main([str(model), "--output", str(tmp_path / "repository"), *onnx, *arguments])
        except SystemExit as exit_:  # argparse's
            code = int(str(exit_.code))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def made(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `tiny` and the repository that was generated of it."""
    home = tmp_path_factory.mktemp("made")
    shutil.copytree(models_dir / "bert_base", home / "tiny")
    assert command.main([str(home / "tiny"), "--output", str(home / "repository"), "--onnx"]) == 0
    return home


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """The model, and its repository beside it, of this test's own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tiny"


@pytest.fixture
def folder(model: Path) -> Path:
    """The generated folder."""
    return model.parent / "repository/tiny"


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a graph is made."""
    monkeypatch.setattr(process, "run", lambda *_, **__: pytest.fail("a graph is made"))


@pytest.fixture
def fresh(models_dir: Path, tmp_path: Path) -> Path:
    """A model without a repository."""
    return Path(shutil.copytree(models_dir / "bert_base", tmp_path / "tiny"))


@pytest.fixture(scope="module")
def padded(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph as others publish it: it computes padding too."""
    home = tmp_path_factory.mktemp("padded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphPlan, "packs", lambda *_: False)
        arguments = [str(models_dir / "bert_base"), "--name", "tiny", "--output", str(home), "--onnx"]
        assert command.main(arguments) == 0
    return home / "tiny/1"


@pytest.fixture
def published(model: Path, folder: Path, padded: Path) -> Path:
    """A model that publishes a graph, without a repository."""
    shutil.rmtree(folder.parent)
    (model / "onnx").mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copyfile(padded / name, model / "onnx" / name)
    return model


# ---- what is written


def test_a_graph_takes_the_place_of_the_weights(folder: Path) -> None:
    record = manifest.load(folder)
    assert record is not None
    assert record.onnx is not None
    assert set(record.onnx["files"]) == GRAPH_FILES <= record.files.keys()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == record.files.keys() | {manifest.FILE}
    assert {path.name for path in (folder / "1/weights").iterdir()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_comparison_is_kept(folder: Path) -> None:
    record = json.loads((folder / manifest.FILE).read_text())["onnx"]
    assert record["source"] == "exported by transformers"
    assert record["precision"] == "fp32"
    assert record["packed"] is True
    assert 0 <= record["largest_difference"] < 1e-4
    assert record["error"].keys() == {"measure", "last_hidden_state"}
    rows = [shape.split(",")[0].split()[-1].split("x") for shape in record["compared"]]
    assert {number for number, _ in rows} == {"1", "2", "3"}
    assert len({length for _, length in rows}) == 2


def test_the_config_and_the_requirements_are_those_of_a_graph(folder: Path) -> None:
    config = generated.parsed((folder / "config.pbtxt").read_text())
    assert config.parameters["dtype"].string_value == "fp32"
    assert config.parameters["onnx_provider"].string_value == "auto"
    lines = (folder / "requirements.txt").read_text().splitlines()
    names = {line.split(">=")[0] for line in lines if not line.startswith("#")}
    assert {"numpy", "onnxruntime", "tokenizers"} <= names
    assert not names & {"torch", "transformers"}


def test_nothing_of_this_machine_is_in_the_description(folder: Path, made: Path) -> None:
    text = (folder / "1/onnx.json").read_text() + (folder / manifest.FILE).read_text()
    assert str(made) not in text
    assert "_name_or_path" not in json.loads((folder / "1/onnx.json").read_text())["config"]


# ---- again


@pytest.mark.usefixtures("no_process")
def test_again_makes_no_graph(model: Path, folder: Path, run: Callable[..., Result]) -> None:
    result = run(model)
    assert (result.exit_code, result.errors) == (0, "")
    assert f"nothing changed: {folder} is up to date" in result.output
    assert run(model, "--force").output.count("nothing changed") == 1
    assert run(model, "--check").exit_code == 0
    assert f"would keep the graph in {folder}/1/model.onnx" in run(model, "--dry-run").output


@pytest.mark.usefixtures("no_process")
def test_another_option_keeps_the_graph(model: Path, folder: Path, run: Callable[..., Result]) -> None:
    before = (folder / "1/model.onnx").read_bytes()
    assert run(model, "--max-batch-size", "7").exit_code == 0
    assert (folder / "1/model.onnx").read_bytes() == before
    assert generated.parsed((folder / "config.pbtxt").read_text()).max_batch_size == 7
    assert run(model, "--max-batch-size", "7", "--check").exit_code == 0


@pytest.mark.usefixtures("no_process")
def test_an_edited_graph_is_kept(model: Path, folder: Path, run: Callable[..., Result]) -> None:
    (folder / "1/model.onnx").write_bytes(b"mine")
    assert "kept as you edited them: 1/model.onnx" in run(model).output
    assert "edited by hand: 1/model.onnx" in run(model, "--check").output
    assert run(model, "--max-batch-size", "7").exit_code == 0
    assert (folder / "1/model.onnx").read_bytes() == b"mine"


def test_check_tells_a_graph_that_would_be_made_anew(
    model: Path, folder: Path, run: Callable[..., Result], no_process: None
) -> None:
    result = run(model, "--precision", "int8", "--check")
    assert result.exit_code == 1
    assert "changed: 1/model.onnx" in result.output
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")
    assert "changed: 1/model.onnx" in run(model, "--check").output
    shutil.rmtree(folder)
    assert "added: 1/model.onnx" in run(model, "--check").output


@pytest.mark.parametrize("change", ["force", "lost", "weights", "versions"])
def test_a_graph_is_made_anew_where_it_would_be_another(
    change: str, model: Path, folder: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda *_, **__: process.Ended(1, "made anew"))
    if change == "force":
        (folder / "1/model.onnx").write_bytes(b"mine")
    elif change == "lost":
        (folder / "1/model.onnx.data").unlink()
    elif change == "weights":
        shift(model)
    else:
        monkeypatch.setattr(maker, "version", lambda _: "0")
    assert "made anew" in run(model, *(["--force"] if change == "force" else [])).errors


def test_edited_files_are_told_before_a_graph_is_made(
    model: Path, folder: Path, run: Callable[..., Result], no_process: None
) -> None:
    (folder / "config.pbtxt").write_text("# mine")
    result = run(model, "--precision", "int8")
    assert result.exit_code == 2
    assert "edited or added by hand and would be overwritten" in result.errors


# ---- published files


def shift(model: Path) -> None:
    """Changes the weights, so that torch gives other numbers."""
    weights = load_file(model / "model.safetensors")
    save_file({name: array + 0.1 for name, array in weights.items()}, model / "model.safetensors", {"format": "pt"})


def test_a_published_graph_is_compared_and_taken(published: Path, folder: Path, run: Callable[..., Result]) -> None:
    assert "would make" in run(published, "--dry-run").output
    graph = (published / "onnx/model.onnx").read_bytes()
    result = run(published)
    assert result.exit_code == 0, result.errors
    assert "fp32, onnx/model.onnx of the model" in result.output
    assert "exporting" not in result.errors
    assert (folder / "1/model.onnx").read_bytes() == graph
    record = json.loads((folder / manifest.FILE).read_text())["onnx"]
    assert record["source"] == "onnx/model.onnx"
    assert record["largest_difference"] < 1e-4


def test_a_published_graph_alone_is_not_compared(published: Path, folder: Path, run: Callable[..., Result]) -> None:
    (published / "model.safetensors").unlink()
    result = run(published)
    assert result.exit_code == 0, result.errors
    assert "not compared: the model has no weights for torch" in result.errors
    record = json.loads((folder / manifest.FILE).read_text())["onnx"]
    assert (record["error"], record["compared"], record["largest_difference"]) == ("not compared", [], None)
    assert json.loads((folder / "1/onnx.json").read_text())["positions"] > 0


def test_a_published_graph_of_other_weights_is_refused(
    published: Path, folder: Path, run: Callable[..., Result]
) -> None:
    shift(published)
    result = run(published, "--exporter", "hub")
    assert result.exit_code == 5
    told = result.errors.splitlines()[-1]
    assert "onnx/model.onnx does not fit: its output last_hidden_state differs from torch's" in told
    assert told.endswith("Leave out --onnx, and torch computes the model")
    assert not folder.exists()


def test_what_fits_is_exported_in_place_of_a_published_graph_that_does_not(
    published: Path, folder: Path, run: Callable[..., Result]
) -> None:
    shift(published)
    result = run(published)
    assert result.exit_code == 0, result.errors
    assert "onnx/model.onnx does not fit, so the model is exported" in result.errors
    record = json.loads((folder / manifest.FILE).read_text())["onnx"]
    assert record["source"] == "exported by transformers"
    assert record["largest_difference"] < 1e-3
    assert "nothing changed" in run(published).output


# ---- what goes wrong


@pytest.mark.parametrize(
    ("arguments", "onnx", "words"),
    [
        (["--dtype", "int8"], (), "int8 is for --onnx"),
        (["--exporter", "hub"], (), "add --onnx"),
        (["--onnx", "--optimum-python", "x"], (), "--optimum-python is for --exporter optimum"),
        (["--weights", "hub"], ("--onnx",), "--weights hub leaves the model on the Hub; choose one"),
        (["--onnx-timeout", "0"], ("--onnx",), "at least 1"),
        (["--optimize", "latency", "--device", "cuda"], (), "--optimize divides the cores of a CPU"),
    ],
)
def test_options_that_make_no_sense_are_exit_2(
    arguments: list[str], onnx: tuple[str, ...], words: str, fresh: Path, run: Callable[..., Result]
) -> None:
    result = run(fresh, *arguments, onnx=onnx)
    assert result.exit_code == 2
    assert words in result.errors
    assert not (fresh.parent / "repository").exists()


def test_a_published_graph_that_is_not_there_is_exit_5(fresh: Path, run: Callable[..., Result]) -> None:
    result = run(fresh, "--exporter", "hub", "--precision", "fp16")
    assert result.exit_code == 5
    assert "tiny has no ONNX file of fp16 (such as onnx/model_fp16.onnx); choose another" in result.errors


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (
            process.Ended(1, "RuntimeError: no such operator."),
            "the export to ONNX failed: RuntimeError: no such operator.",
        ),
        (process.Ended(None, ""), "it took longer than 9 s (--onnx-timeout)"),
        (process.Ended(-9, ""), "its process was killed by signal 9; there may be too little memory"),
    ],
)
def test_an_export_that_fails_is_exit_5_and_writes_nothing(
    ended: process.Ended, words: str, fresh: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda *_, **__: ended)
    result = run(fresh, "--onnx-timeout", "9")
    assert result.exit_code == 5
    assert words in result.errors
    assert result.errors.endswith("Leave out --onnx, and torch computes the model\n")
    assert sorted(path.name for path in fresh.parent.iterdir()) == ["tiny"]


def test_missing_packages_name_their_command(
    fresh: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker.importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else name)
    result = run(fresh)
    assert result.exit_code == 5
    assert "needs onnx and onnxscript and onnxruntime, not installed here; run pip install" in result.errors


# ---- instances


@pytest.mark.parametrize(
    ("arguments", "cores", "count"),
    [
        ((), 4, 1),
        (("--optimize", "latency"), 4, 1),
        (("--optimize", "throughput"), 4, 4),
        (("--optimize", "throughput"), 64, tuning.MOST_INSTANCES),
        (("--optimize", "throughput", "--instances", "3"), 4, 3),
    ],
)
def test_instances_share_the_cores(
    arguments: tuple[str, ...],
    cores: int,
    count: int,
    fresh: Path,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "cores", lambda: cores)
    assert run(fresh, *arguments, onnx=()).exit_code == 0
    config = generated.parsed((fresh.parent / "repository/tiny/config.pbtxt").read_text())
    assert config.instance_group[0].count == count
    assert config.parameters["threads"].string_value == "auto"

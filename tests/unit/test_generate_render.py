"""What every variant's files must be; a new task is tested here without a change."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import generated
from tritonclient.grpc.model_config_pb2 import DataType as ProtoDataType
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

from hf_runtime.parameters import accepted
from hub2triton import __version__, model_config, tasks
from hub2triton.generate import config, manifest, render, template
from hub2triton.generate.options import Device, DType
from hub2triton.tensor import PARAMETERS, TensorSpec

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Library, TaskSpec

PROJECT = Path(__file__).parents[2]

each_variant = pytest.mark.parametrize(("spec", "library"), generated.VARIANTS, ids=generated.VARIANT_NAMES)


def declared(tensors: tuple[TensorSpec, ...]) -> list[tuple[str, str, list[int]]]:
    return [(tensor.name, tensor.datatype.config, list(tensor.dims)) for tensor in tensors]


def written(folder: Path, spec: TaskSpec, library: Library) -> Path:
    for path, content in generated.files_of(spec, library).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@each_variant
def test_config_declares_the_tasks_tensors(spec: TaskSpec, library: Library) -> None:
    parsed = generated.parsed(generated.files_of(spec, library)["config.pbtxt"])
    found = [
        [(tensor.name, ProtoDataType.Name(tensor.data_type), list(tensor.dims)) for tensor in tensors]
        for tensors in (parsed.input, parsed.output)
    ]
    assert found == [declared((*spec.inputs, PARAMETERS)), declared(spec.variants[library].outputs)]
    optional = [tensor.name for tensor in (*spec.inputs, PARAMETERS) if tensor.optional]
    assert [tensor.name for tensor in parsed.input if tensor.optional] == optional


@each_variant
def test_inputs_of_varying_length_may_share_a_batch(spec: TaskSpec, library: Library) -> None:
    for tensor in generated.parsed(generated.files_of(spec, library)["config.pbtxt"]).input:
        assert tensor.allow_ragged_batch == (-1 in tensor.dims)


@each_variant
def test_config_has_the_settings_that_the_runtime_reads(spec: TaskSpec, library: Library) -> None:
    parsed = generated.parsed(generated.files_of(spec, library)["config.pbtxt"])
    assert parsed.backend == "python"
    assert parsed.max_batch_size == spec.max_batch_size
    assert not parsed.dynamic_batching.HasField("default_queue_policy")
    assert {name: value.string_value for name, value in parsed.parameters.items()} == {
        "task": spec.name,
        "model_id": generated.MODEL_ID,
        "revision": generated.REVISION,
        "generator_version": __version__,
        "device": "auto",
        "dtype": "auto",
        "threads": "auto",
        "sub_batch_size": "16",
        "sub_batch_overhead": "60" if spec.onnx is not None else "5000",
        "max_queue_size": str(16 * spec.max_batch_size),
        "max_text_length": "1000000",
        "trust_remote_code": "false",
        **{setting.name: setting.value for setting in spec.settings},
    }


@pytest.mark.parametrize(("device", "overhead"), [(Device.AUTO, "60"), (Device.CPU, "60"), (Device.CUDA, "10")])
def test_a_graph_without_padding_is_asked_for_more_rows_at_once(device: Device, overhead: str) -> None:
    spec, library = generated.WITH_GRAPHS[0]
    files = generated.files_of(spec, library, onnx=True, device=device)
    assert generated.parsed(files["config.pbtxt"]).parameters["sub_batch_overhead"].string_value == overhead


@each_variant
def test_every_file_is_ruffs_idea_of_python(spec: TaskSpec, library: Library, tmp_path: Path) -> None:
    written(tmp_path, spec, library)
    for command in (["check", "--no-cache", "--ignore=D102"], ["format", "--check", "--no-cache"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", command[0], "--config", PROJECT / "pyproject.toml", *command[1:], "."],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@each_variant
def test_every_file_compiles_and_ends_with_one_newline(spec: TaskSpec, library: Library) -> None:
    for path, content in generated.files_of(spec, library).items():
        assert content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path
        assert b"\r" not in content, path
        if path.endswith(".py"):
            compile(content, path, "exec")


PACKAGES = {"PIL": "pillow"}
"""Packages that are imported by another name."""

BESIDE_A_GRAPH = {"onnxruntime", "tokenizers", "safetensors"}
"""What the runtime imports only where there is a graph. Models do so by the requirements of test_families_onnx."""


@each_variant
def test_models_import_only_what_their_requirements_name(spec: TaskSpec, library: Library) -> None:
    files = generated.files_of(spec, library)
    named = {line.split(">")[0].split("=")[0].split("<")[0] for line in files["requirements.txt"].decode().splitlines()}
    named |= BESIDE_A_GRAPH
    for path, content in files.items():
        if path.endswith(".py"):
            foreign = _imported(content) - sys.stdlib_module_names - {"triton_python_backend_utils"}
            # huggingface_hub comes with every library that loads models from the Hub.
            packages = {PACKAGES.get(name, name.replace("_", "-")) for name in foreign}
            assert packages <= named | {"huggingface-hub"}, path


@each_variant
def test_the_runtime_of_a_model_is_complete(
    spec: TaskSpec, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("/templates")])
    assert generated.module(written(tmp_path, spec, library)).TritonPythonModel


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_a_tasks_models_together_take_exactly_its_parameters(spec: TaskSpec, tmp_path: Path) -> None:
    taken: set[str] = set()
    for library in spec.variants:
        model = generated.module(written(tmp_path / library.value, spec, library))
        taken |= accepted(model.TritonPythonModel.predict).keys()
    assert taken == {parameter.name for parameter in spec.parameters}


@each_variant
def test_requirements_are_lines_that_pip_reads(spec: TaskSpec, library: Library) -> None:
    from packaging.requirements import Requirement

    lines = generated.files_of(spec, library)["requirements.txt"].decode().splitlines()
    found = [str(Requirement(line)) for line in lines if not line.startswith("#")]
    wanted = (*library.requirements, *spec.variants[library].requirements)
    assert found == ["numpy", *(str(Requirement(line)) for line in wanted)]
    assert len(found) == len(set(found))


@each_variant
def test_the_requirements_are_also_an_extra_of_the_distribution(spec: TaskSpec, library: Library) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    named = {*library.requirements, *spec.variants[library].requirements}
    assert named <= set(project["optional-dependencies"]["models"])


@pytest.mark.parametrize(("spec", "library"), generated.WITH_GRAPHS)
def test_the_requirements_of_a_graph_take_the_librarys_place(spec: TaskSpec, library: Library) -> None:
    from packaging.requirements import Requirement

    lines = generated.files_of(spec, library, onnx=True)["requirements.txt"].decode().splitlines()
    found = [line.split("  #")[0] for line in lines if not line.startswith("#")]
    assert spec.onnx is not None
    wanted = (*spec.onnx.requirements, *spec.variants[library].requirements)
    assert found == ["numpy", *(line.split("  #")[0] for line in wanted)]
    assert len({Requirement(line).name for line in found}) == len(found)
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(found[1:]) <= {*extras["cpu"], *extras["models"]}


@pytest.mark.parametrize(("spec", "library"), generated.WITH_GRAPHS)
def test_the_config_of_a_graph_tells_what_it_was_made_with(spec: TaskSpec, library: Library) -> None:
    torch, onnx = (generated.parsed(generated.files_of(spec, library, onnx=on)["config.pbtxt"]) for on in (False, True))
    values = {name: onnx.parameters[name].string_value for name in ("dtype", "onnx_provider")}
    assert values == {"dtype": "fp32", "onnx_provider": "auto"}
    assert onnx.parameters.keys() - torch.parameters.keys() == {"onnx_provider"}
    assert (onnx.input, onnx.output) == (torch.input, torch.output)


@pytest.mark.parametrize("path", sorted(template.folder().rglob("*.py*")), ids=lambda path: path.name)
def test_templates_do_not_import_hub2triton(path: Path) -> None:
    if path.suffix not in (".py", ".jinja"):
        return
    assert not [line for line in path.read_text().splitlines() if "import" in line and "hub2triton" in line]


def test_the_options_are_in_the_config() -> None:
    spec = tasks.SPECS[0]
    plan = generated.plan_of(
        spec,
        spec.library,
        device=Device.CUDA,
        dtype=DType.BF16,
        instances=3,
        queue_delay_us=500,
        trust_remote_code=True,
    )
    parsed = generated.parsed(config.render(plan))
    (group,) = parsed.instance_group
    assert (group.count, group.kind) == (3, ModelInstanceGroup.KIND_GPU)
    assert parsed.dynamic_batching.max_queue_delay_microseconds == 500
    values = {name: parsed.parameters[name].string_value for name in ("device", "dtype", "trust_remote_code")}
    assert values == {"device": "cuda", "dtype": "bf16", "trust_remote_code": "true"}


@pytest.mark.parametrize("text", ["backend: python", "no_such_field: 1", "input ["])
def test_a_config_that_triton_would_not_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^1:\d+ : "):
        model_config.parse(text)


def test_a_model_that_is_no_python_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render.template, "render", lambda *_, **__: "def broken(")
    with pytest.raises(SyntaxError):
        render.render(generated.plan_of(tasks.SPECS[0], tasks.SPECS[0].library))


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        template.render("config.pbtxt.jinja")


def test_the_runtime_is_followed_from_import_to_import() -> None:
    nothing = template.runtime_files("import json\n")
    core = {"__init__", "batch", "error", "json_text", "model", "parameters", "row", "settings", "tensor", "waiting"}
    assert set(nothing) == {f"hf_runtime/{name}.py" for name in core}
    more = template.runtime_files("from .hf_runtime.token_encoder import TokenEncoder\n")
    assert set(more) - set(nothing) == {
        f"hf_runtime/{name}.py"
        for name in (
            *("text_model", "token_encoder", "tokenizer", "engine"),
            *("torch_engine", "checkpoint", "torch_device", "torch_text"),
            *("onnx_engine", "plain_config", "plain_tokenizer"),
        )
    }
    assert template.runtime_files("from .hf_runtime import torch_device\n").keys() - set(nothing) == {
        "hf_runtime/torch_device.py"
    }
    assert all(content == (template.folder() / path).read_bytes() for path, content in more.items())


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    plan = generated.plan_of(tasks.SPECS[0], tasks.SPECS[0].library)
    record = manifest.Manifest.of(plan, {"b": "2", "a": "1"})
    (tmp_path / manifest.FILE).write_text(record.to_json())
    assert manifest.load(tmp_path) == record
    assert record.source == {"origin": "hub", "model_id": generated.MODEL_ID, "revision": generated.REVISION}
    assert list(record.files) == ["a", "b"]
    assert record.generator == f"hub2triton {__version__}"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {}}', b"\xff"])
def test_a_damaged_manifest_is_none(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / manifest.FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    assert manifest.load(tmp_path) is None


def test_a_manifest_whose_files_are_none_is_none(tmp_path: Path) -> None:
    record = manifest.Manifest.of(generated.plan_of(tasks.SPECS[0], tasks.SPECS[0].library), {})
    (tmp_path / manifest.FILE).write_text(record.to_json().replace('"files": {}', '"files": []'))
    assert manifest.load(tmp_path) is None


def test_digests_are_of_the_content_but_for_the_hubs_own_blobs(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "empty").touch()
    assert manifest.digest(b"") == manifest.file_digest(tmp_path / "empty") == empty
    blob = tmp_path / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    blob.touch()
    (tmp_path / "link").symlink_to(blob)
    assert manifest.file_digest(tmp_path / "link") == "0" * 64
    (blob.parent / "short").touch()  # small files are named by another digest there
    assert manifest.file_digest(blob.parent / "short") == empty


def _imported(content: bytes) -> set[str]:
    """The packages that a file imports, by their first name."""
    names = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("einops==0.8  # why", "einops==0.8  # why"),
        ("--extra-index-url https://example.com/simple", "--extra-index-url https://example.com/simple"),
        ("-r base.txt", "-r 1/weights/base.txt"),
        ("-cpins/all.txt", "-c 1/weights/pins/all.txt"),
        ("--requirement=base.txt", "--requirement 1/weights/base.txt"),
        ("-r https://example.com/base.txt", "-r https://example.com/base.txt"),
        ("-r /opt/base.txt", "-r /opt/base.txt"),
        ("./wheels/own.whl", "./1/weights/wheels/own.whl"),
        ("own @ file:///opt/own", "own @ file:///opt/own"),
    ],
)
def test_a_models_own_requirements_are_among_the_repositorys(line: str, moved: str) -> None:
    spec = tasks.find("custom")
    assert spec is not None
    plan = dataclasses.replace(generated.plan_of(spec, spec.library), requirements=(line,))
    assert render.render(plan)["requirements.txt"].decode().splitlines()[-1] == moved

"""Every repository that can be generated, byte for byte; `pytest tests/golden --update-golden` writes them anew.

Of manifest.json only the paths are compared: the digests of the runtime change with every line of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import generated

from hub2triton.generate import config, manifest

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Library, TaskSpec

REPOSITORIES = Path(__file__).with_name("repositories")
COPIED = "1/hf_runtime/"


def shown(spec: TaskSpec, library: Library, **options: Any) -> dict[str, bytes]:
    """The files to compare, by path: what is written for this model, and the names of the rest."""
    files = generated.files_of(spec, library, **options)
    plan = generated.plan_of(spec, library, **options)
    record = json.loads(manifest.Manifest.of(plan, dict.fromkeys(files, "")).to_json())
    names = json.dumps({**record, "files": sorted(files)}, indent=2) + "\n"
    own = {path: content for path, content in files.items() if not path.startswith(COPIED)}
    return {**own, manifest.FILE: names.encode()}


REPOSITORY_NAMES = [
    *generated.VARIANT_NAMES,
    *(f"{spec.name}--{library.value}--onnx" for spec, library in generated.WITH_GRAPHS),
]


@pytest.mark.parametrize(
    ("spec", "library", "onnx"),
    [*((*variant, False) for variant in generated.VARIANTS), *((*variant, True) for variant in generated.WITH_GRAPHS)],
    ids=REPOSITORY_NAMES,
)
def test_a_repository_is_as_before(
    spec: TaskSpec, library: Library, onnx: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (config, manifest):
        monkeypatch.setattr(module, "__version__", "VERSION")
    files = shown(spec, library, onnx=onnx)
    folder = REPOSITORIES / f"{spec.name}--{library.value}{'--onnx' if onnx else ''}"
    if request.config.getoption("--update-golden"):
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    before = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert sorted(files) == sorted(before), "accept with: pytest tests/golden --update-golden"
    for path, content in files.items():
        assert content.decode() == before[path].read_text(), f"{path}; accept with --update-golden"


def test_there_is_no_repository_of_what_is_no_variant(request: pytest.FixtureRequest) -> None:
    there = {folder.name for folder in REPOSITORIES.iterdir()}
    if request.config.getoption("--update-golden"):
        for name in there - set(REPOSITORY_NAMES):
            shutil.rmtree(REPOSITORIES / name)
        there &= set(REPOSITORY_NAMES)
    assert there == set(REPOSITORY_NAMES)

"""Code that a model brings along: it runs where the operator asks for it by name, and never because a file says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.asked import Asked
from transformers import dynamic_module_utils

from hub2triton import model_config

Tiny = Callable[[str], Path]

CODE = """
from pathlib import Path

from transformers import BertConfig

Path({mark!r}).touch()


class OwnConfig(BertConfig):
    model_type = "own"
"""


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Path:
    """A model whose config.json names a class of its own, in a file that leaves a mark when it is run."""
    folder = tmp_path / "model"
    shutil.copytree(tiny("bert_masked"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_own.py").write_text(CODE.format(mark=str(tmp_path / "it ran")))
    (folder / "README.md").write_text("---\npipeline_tag: fill-mask\ntrust_remote_code: true\n---\n")
    return folder


def ran(model: Path, output: Path, **options: Any) -> bool:
    """Whether the code has run when the model was generated and loaded, as far as it can be."""
    with pytest.raises(ValueError, match="OwnConfig" if options else "trust_remote_code"):  # of no use to its class
        Asked("fill-mask", model, output, **options)
    (config,) = output.glob("*/config.pbtxt")
    parameters = model_config.parameters(model_config.parse(config.read_text()))
    assert parameters["trust_remote_code"] == ("true" if options else "false")
    return (model.parent / "it ran").exists()


def test_a_model_that_names_its_own_code_does_not_run_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    assert not ran(model, tmp_path / "out")
    assert ran(model, tmp_path / "trusted", trust_remote_code=True)


def test_a_handler_beside_a_model_does_not_run_either(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("bert_masked"), folder)
    mark = tmp_path / "it ran"
    for name in ("handler.py", "pipeline.py", "__init__.py", "tokenization.py"):
        (folder / name).write_text(f"open({str(mark)!r}, 'w')")
    asked = Asked("fill-mask", folder, tmp_path / "out")
    assert asked("a [MASK]")
    assert not mark.exists()

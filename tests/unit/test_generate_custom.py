"""What generate-repo writes and tells of models with code of their own, and of diffusion pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hub2triton.generate import command

Tiny = Callable[[str], Path]


def generated(model: Path, output: Path, *options: str) -> Path:
    assert command.main([str(model), "--output", str(output), "--name", "made", *options]) == 0
    return output / "made"


def test_the_command_that_installs_a_models_requirements_is_told(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "with space"
    folder = generated(tiny("legacy_pipeline"), output, "--task", "custom")
    told = capsys.readouterr().out
    assert f"\n  pip install -r '{folder}/requirements.txt'\n" in told
    assert "code       the model's own handler.py will run" in told
    assert (folder / "requirements.txt").read_text().splitlines()[-2:] == ["pillow>=11", "numpy"]
    names = sorted(path.name for path in (folder / "1/weights").iterdir())
    assert names == ["mark.txt", "pipeline.py", "requirements.txt", "reversal.py"]


def test_nothing_is_to_be_installed_for_a_model_without_requirements(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated(tiny("echo"), tmp_path, "--task", "custom")
    assert "pip install" not in capsys.readouterr().out


def test_code_is_not_run_to_generate(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "handler.py").write_text("raise RuntimeError('it ran')\n")
    assert (generated(model, tmp_path / "out", "--task", "custom") / "1/weights/handler.py").is_file()


def test_code_is_not_served_unasked(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tiny("echo")), "--output", str(tmp_path)]) == 4
    assert "cannot be told" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["stable_diffusion", "stable_diffusion_3"])
def test_a_pipelines_task_needs_not_be_named(tiny: Tiny, tmp_path: Path, family: str) -> None:
    model = tiny(family)
    folder = generated(model, tmp_path)
    weights = folder / "1/weights"
    taken = sorted(path.relative_to(weights).as_posix() for path in weights.rglob("*") if path.is_file())
    assert taken == sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
    assert 'key: "task" value { string_value: "text-to-image" }' in (folder / "config.pbtxt").read_text()

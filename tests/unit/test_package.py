"""What is installed: the wheel holds the package and the templates, and generates from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_generates_by_itself(tmp_path: Path, models_dir: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    assert {path.name for path in installed.iterdir() if path.is_dir()} == {"hub2triton", "hub2triton-0.1.0.dist-info"}

    # The isolated interpreter does not see the checkout's editable install before the extracted wheel.
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); "
        "import hub2triton; from hub2triton.generate.command import main; "
        f"assert hub2triton.__file__.startswith({str(installed)!r}), hub2triton.__file__; "
        f"raise SystemExit(main([{str(models_dir / 'bert_base')!r}, '--output', 'out']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    from_wheel = {path.name: path.read_text() for path in (tmp_path / "out/bert_base/1/hf_runtime").glob("*.py")}
    assert from_wheel
    for name, text in from_wheel.items():
        assert text == (ROOT / "templates" / "hf_runtime" / name).read_text()


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    for command in ("generate", "serve", "shim"):
        program = (
            "import sys, contextlib\n"
            f"from hub2triton.{command}.command import main\n"
            "with contextlib.suppress(SystemExit): main(['--help'])\n"
            "print(sorted({'torch', 'transformers', 'grpc', 'starlette', 'jinja2'} & set(sys.modules)))\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("[]\n"), done.stdout[-200:]

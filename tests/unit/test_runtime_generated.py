"""Generated models in this process: from a payload to its answer, with all of the way but Triton itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests import generated
from triton_python_backend_utils import InferenceRequest

from hub2triton import tasks
from hub2triton.generate import generation
from hub2triton.generate.options import Options
from hub2triton.shim import tensors
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tasks.spec import Call, Profile
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["today is a sunny day", "x", "the old horse saw a very large machine in the street", "a red bird"]
QUESTION = {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}


class Served:
    """A generated model of a task, asked as the shim asks Triton."""

    def __init__(self, task: str, model: Path, output: Path) -> None:
        plan = generation.plan(Options(model=str(model), output=output, task=task, name=f"{task}-{model.name}"))
        generation.write(plan, force=False)
        self.spec, self.outputs = plan.spec, plan.variant.outputs
        self.model = generated.initialized(output / plan.name)

    def call(self, inputs: Any, **parameters: Any) -> Call:
        return self.spec.encode(Payload.from_json({"inputs": inputs, "parameters": parameters}, Limits()))

    def requests(self, call: Call, size: int = 2) -> list[InferenceRequest]:
        chunks = tensors.chunks(call.rows, (*self.spec.inputs, PARAMETERS), size)
        names = tuple(tensor.name for tensor in self.outputs)
        return [InferenceRequest(arrays | {PARAMETERS.name: _column(call, arrays)}, names) for arrays in chunks]

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        call = self.call(inputs, **parameters)
        responses = self.model.execute(self.requests(call))
        rows = [row for response in responses for row in tensors.answers(response.arrays, self.outputs)]
        return call.decode(rows, Profile.PYTHON)


def _column(call: Call, arrays: dict[str, Any]) -> np.ndarray[Any, Any]:
    rows = len(next(iter(arrays.values())))
    return np.full((rows, 1), json.dumps(dict(call.parameters)).encode(), dtype=np.object_)


@pytest.fixture(scope="module")
def served(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Served]:
    output = tmp_path_factory.mktemp("repository")
    pairs = [
        ("feature-extraction", "bert_base"),
        ("feature-extraction", "sentence_mean"),
        ("sentence-embeddings", "sentence_prompts"),
        ("sentence-similarity", "sentence_mean"),
    ]
    return {pair: Served(pair[0], models_dir / pair[1], output) for pair in pairs}


@pytest.fixture(scope="module")
def original(models_dir: Path) -> SentenceTransformer:
    return SentenceTransformer(str(models_dir / "sentence_mean"), device="cpu")


def test_features_of_tokens_have_each_texts_own_length(
    served: dict[tuple[str, str], Served], original: SentenceTransformer
) -> None:
    answers = served["feature-extraction", "bert_base"](TEXTS)
    for text, (states,) in zip(TEXTS, answers, strict=True):
        expected = original.encode(text, output_value="token_embeddings").numpy()
        np.testing.assert_allclose(states, expected, atol=1e-5)


def test_features_of_a_pooled_model_are_its_vectors(
    served: dict[tuple[str, str], Served], original: SentenceTransformer
) -> None:
    answers = served["feature-extraction", "sentence_mean"](TEXTS)
    np.testing.assert_allclose(answers, original.encode(TEXTS), atol=1e-5)


def test_embeddings_take_parameters(served: dict[tuple[str, str], Served], models_dir: Path) -> None:
    original = SentenceTransformer(str(models_dir / "sentence_prompts"), device="cpu")
    answers = served["sentence-embeddings", "sentence_prompts"](TEXTS, promptName="query", dimensions=5)
    np.testing.assert_allclose(answers, original.encode(TEXTS, prompt_name="query")[:, :5], atol=1e-5)


def test_similarities_are_those_of_the_library(
    served: dict[tuple[str, str], Served], original: SentenceTransformer
) -> None:
    vectors = original.encode(TEXTS)
    expected = original.similarity(vectors[:1], vectors[1:])[0]
    for pair in (("sentence-similarity", "sentence_mean"), ("feature-extraction", "sentence_mean")):
        np.testing.assert_allclose(served[pair](QUESTION), expected, atol=1e-5)
    assert len(served["sentence-similarity", "sentence_mean"]({**QUESTION, "sentences": []})) == 0


def test_questions_of_other_sizes_share_a_batch(served: dict[tuple[str, str], Served]) -> None:
    model = served["sentence-similarity", "sentence_mean"]
    questions = [QUESTION, {**QUESTION, "sentences": TEXTS[2:]}, {**QUESTION, "sentences": TEXTS * 3}]
    requests = [request for question in questions for request in model.requests(model.call(question))]
    for question, response in zip(questions, model.model.execute(requests), strict=True):
        np.testing.assert_allclose(response.arrays["similarity"][0], model(question), atol=1e-5)


def test_a_parameter_that_this_model_cannot_have_is_refused(served: dict[tuple[str, str], Served]) -> None:
    model = served["feature-extraction", "bert_base"]
    (response,) = model.model.execute(model.requests(model.call("x", normalize=True)))
    assert (
        "unknown parameter 'normalize'; this model takes: count_tokens, truncate, truncation_direction"
        in response.refusal.message
    )


def test_the_example_of_each_task_is_answered(served: dict[tuple[str, str], Served]) -> None:
    assert {task for task, _ in served} <= set(tasks.names())
    for model in served.values():
        assert len(model(model.spec.example["inputs"]))


def test_outputs_have_the_declared_types_and_dims(served: dict[tuple[str, str], Served]) -> None:
    for model in served.values():
        for response in model.model.execute(model.requests(model.call(model.spec.example["inputs"]))):
            for tensor in model.outputs:
                array = response.arrays[tensor.name]
                assert array.dtype == {"FP32": np.float32, "INT32": np.int32}[tensor.datatype.value]
                assert all(want in (-1, got) for want, got in zip(tensor.dims, array.shape[1:], strict=True))


@pytest.mark.parametrize("key", [("feature-extraction", "bert_base"), ("sentence-embeddings", "sentence_prompts")])
def test_tokens_are_counted_where_they_are_asked_for(
    key: tuple[str, str], served: dict[tuple[str, str], Served]
) -> None:
    model = served[key]
    for asked, counts in ((True, [[3], [5]]), (False, [[0], [0]])):
        (response,) = model.model.execute(model.requests(model.call(["sun", "the old horse"], count_tokens=asked)))
        assert response.arrays["token_count"].tolist() == counts

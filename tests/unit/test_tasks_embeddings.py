from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Call, Profile

CLIENTS = (Profile.PYTHON, Profile.JAVASCRIPT)
TEXT_TASKS = ("sentence-embeddings", "feature-extraction")
QUESTION = {"source_sentence": "x", "sentences": ["y", "z"]}
SOURCE, ALIKE, ACROSS = np.float32([[3, 4], [6, 8], [-4, 3]])


def call(task: str, inputs: Any, rows: int = 100, **parameters: Any) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    return spec.encode(Payload.from_json({"inputs": inputs, "parameters": parameters}, Limits(rows=rows)))


def plain(value: Any) -> Any:
    """Numpy arrays as lists, at any depth: what the caller's JSON holds."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def vectors(*rows: Any) -> list[dict[str, Any]]:
    return [{"embedding": np.float32(row)} for row in rows]


@pytest.mark.parametrize("task", TEXT_TASKS)
@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ("x", ["x"]),
        ("", [""]),
        (["x"], ["x"]),
        (["x", "y"], ["x", "y"]),
        ({"sentences": ["x", "y"]}, ["x", "y"]),
        ({"sentences": "x"}, ["x"]),
        (QUESTION, ["x", "y", "z"]),
        ({"sourceSentence": "x", "sentences": "y"}, ["x", "y"]),
    ],
)
def test_texts_become_rows(task: str, inputs: Any, texts: list[str]) -> None:
    assert call(task, inputs).rows == [{"text": text} for text in texts]


@pytest.mark.parametrize("task", TEXT_TASKS)
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], '"inputs" is an empty list'),
        (None, '"inputs" must be a string, not null'),
        (1, '"inputs" must be a string, not the number 1'),
        ({}, '"inputs" must be a string, not an object'),
        (["x", ["y"]], r"inputs\[1\] must be a string, not a list"),
        ({"source_sentence": "x"}, 'no "sentences" to compare it with'),
        ({"source_sentence": 1, "sentences": []}, '"source_sentence" must be a string'),
        ({"source_sentence": "x", "sentences": [1]}, r"sentences\[0\] must be a string"),
    ],
)
def test_what_are_no_texts_is_refused(task: str, inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call(task, inputs)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_more_texts_than_the_limit_are_refused(task: str) -> None:
    with pytest.raises(PayloadError) as caught:
        call(task, ["x"] * 101)
    assert caught.value.status == 413


def test_parameters_go_along() -> None:
    assert call("sentence-embeddings", "x", normalize=True, promptName="query").parameters == {
        "normalize": True,
        "prompt_name": "query",
    }


def test_embeddings_in_the_form_of_the_container_depend_on_the_inputs_form() -> None:
    one, many = call("sentence-embeddings", "x"), call("sentence-embeddings", ["x"])
    assert plain(one.decode(vectors([1, 2]), Profile.TOOLKIT)) == {"embeddings": [1, 2]}
    assert plain(many.decode(vectors([1, 2]), Profile.TOOLKIT)) == {"embeddings": [[1, 2]]}


@pytest.mark.parametrize("profile", CLIENTS)
@pytest.mark.parametrize("inputs", ["x", ["x"]])
def test_embeddings_for_clients_are_a_bare_matrix(profile: Profile, inputs: Any) -> None:
    assert plain(call("sentence-embeddings", inputs).decode(vectors([1, 2]), profile)) == [[1, 2]]


@pytest.mark.parametrize("profile", Profile)
def test_features_have_a_vector_for_every_token(profile: Profile) -> None:
    states = {"last_hidden_state": np.float32([[1, 2], [3, 4]])}
    assert plain(call("feature-extraction", "x").decode([states], profile)) == [[[1, 2], [3, 4]]]
    assert plain(call("feature-extraction", ["x", "y"]).decode([states] * 2, profile)) == [[[[1, 2], [3, 4]]]] * 2


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("inputs", ["x", ["x"]])
def test_features_of_a_pooled_model_are_a_matrix(profile: Profile, inputs: Any) -> None:
    assert plain(call("feature-extraction", inputs).decode(vectors([1, 2]), profile)) == [[1, 2]]


@pytest.mark.parametrize(
    ("inputs", "row"),
    [
        (QUESTION, {"source_sentence": "x", "sentences": ["y", "z"]}),
        ({"sourceSentence": "x", "sentences": "y"}, {"source_sentence": "x", "sentences": ["y"]}),
        (["x", "y", "z"], {"source_sentence": "x", "sentences": ["y", "z"]}),
        (["x"], {"source_sentence": "x", "sentences": []}),
    ],
)
def test_a_question_for_similarities_is_one_row(inputs: Any, row: dict[str, Any]) -> None:
    assert call("sentence-similarity", inputs).rows == [row]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("x", "must be .*source_sentence.* or a list of strings, not the string 'x'"),
        ([], "the first item is the source"),
    ],
)
def test_what_is_no_question_for_similarities_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call("sentence-similarity", inputs)


def test_similarities_are_named_for_the_container_and_bare_for_clients() -> None:
    answers = [{"similarity": np.float32([1, 0])}]
    decode = call("sentence-similarity", QUESTION).decode
    assert plain(decode(answers, Profile.TOOLKIT)) == {"similarities": [1, 0]}
    assert all(plain(decode(answers, profile)) == [1, 0] for profile in CLIENTS)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_models_of_vectors_answer_similarities_by_cosine(task: str) -> None:
    answers = vectors(SOURCE, ALIKE, ACROSS)
    similarities = call(task, QUESTION).decode(answers, Profile.PYTHON)
    np.testing.assert_allclose(similarities, [1, 0], atol=1e-6)
    assert plain(call(task, QUESTION).decode(answers, Profile.TOOLKIT)).keys() == {"similarities"}


def test_models_of_tokens_answer_similarities_of_the_tokens_mean() -> None:
    answers = [{"last_hidden_state": np.stack([row, row * 3])} for row in (SOURCE, ALIKE, ACROSS)]
    answers[2] = {"last_hidden_state": np.stack([ACROSS - 1, ACROSS + 1, ACROSS])}
    similarities = call("feature-extraction", QUESTION).decode(answers, Profile.PYTHON)
    np.testing.assert_allclose(similarities, [1, 0], atol=1e-6)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_nothing_to_compare_with_gives_no_similarities(task: str) -> None:
    question = {"source_sentence": "x", "sentences": []}
    assert plain(call(task, question).decode(vectors(SOURCE), Profile.PYTHON)) == []


def test_a_vector_of_zeros_is_close_to_nothing() -> None:
    similarities = call("sentence-embeddings", QUESTION).decode(vectors(SOURCE, [0, 0], ALIKE), Profile.PYTHON)
    np.testing.assert_allclose(similarities, [0, 1], atol=1e-6)


@pytest.mark.parametrize("task", [*TEXT_TASKS, "sentence-similarity"])
def test_a_text_is_cut_or_not_in_the_words_of_tokenizers(task: str) -> None:
    for given, cut in (("longest_first", True), ("only_first", True), ("do_not_truncate", False), (False, False)):
        for parameters in (
            {"truncate": given},
            {"truncation": given, "padding": True},
            {"tokenize_kwargs": {"truncation": given}},
        ):
            assert call(task, QUESTION, **parameters).parameters == {"truncate": cut}
    with pytest.raises(PayloadError, match="unknown parameter 'nix'"):
        call(task, QUESTION, tokenize_kwargs={"nix": 1})

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.shim import transport
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile

CLIENTS = (Profile.PYTHON, Profile.PYTHON_0, Profile.JAVASCRIPT)
TASKS = ("text-classification", "zero-shot-classification", "token-classification", "fill-mask")
LIST_TASKS = {task: {"candidate_labels": ["a"]} if task.startswith("zero") else {} for task in TASKS}

LABELS = [{"label": "good", "score": 0.75}, {"label": "bad", "score": 0.25}]


def call(
    task: str, inputs: Any, profile: Profile = Profile.TOOLKIT, root: dict[str, Any] | None = None, **parameters: Any
) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    body = {"inputs": inputs, "parameters": parameters, **(root or {})}
    return spec.encode(Payload.from_json(body, Limits(text_length=100_000, rows=100), profile=profile))


def decoded(made: Call, answers: list[Answer], profile: Profile) -> Any:
    """What the caller reads."""
    return json.loads(transport.json_response(made.decode(answers, profile)).body)


def column(values: list[Any]) -> np.ndarray[Any, Any]:
    if values and isinstance(values[0], str):
        return np.array([value.encode() for value in values], dtype=np.object_)
    return np.array(values, dtype=np.float32 if values and isinstance(values[0], float) else np.int32)


def answer(**columns: list[Any]) -> Answer:
    return {name: column(values) for name, values in columns.items()}


def labels(count: int = 2) -> Answer:
    chosen = LABELS[:count]
    return answer(label=[item["label"] for item in chosen], score=[item["score"] for item in chosen])


# ---- all of them


@pytest.mark.parametrize("task", TASKS)
def test_a_text_or_a_list_of_texts_becomes_rows(task: str) -> None:
    for inputs in ("x", ["x"], ["x", "y"], [""]):
        rows = call(task, inputs, **LIST_TASKS[task]).rows
        assert [row["text"] for row in rows] == ([inputs] if isinstance(inputs, str) else inputs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("inputs", "words", "status"),
    [
        ([], '"inputs" is an empty list; send at least one item', 400),
        (None, '"inputs" must be a string.*, not null', 400),
        (5, '"inputs" must be a string.*, not the number 5', 400),
        (["x", 5], r"inputs\[1\] must be a string.*, not the number 5", 400),
        (["x", ["y"]], r"inputs\[1\] must be a string.*, not a list", 400),
        ({}, '"inputs" ', 400),
        ("x" * 100_001, "100,001 characters", 413),
        (["x"] * 101, "101 items", 413),
        ("\ud83d", "lone surrogate", 400),
    ],
)
def test_what_is_no_text_is_refused(task: str, inputs: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(task, inputs, **LIST_TASKS[task])
    assert caught.value.status == status


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_parameter_is_refused(task: str) -> None:
    with pytest.raises(PayloadError, match="unknown parameter 'nix'"):
        call(task, "x", nix=1, **LIST_TASKS[task])


@pytest.mark.parametrize("task", ["text-classification", "fill-mask"])
def test_the_number_of_answers_is_one_or_more(task: str) -> None:
    for name in ("top_k", "topK", "topk"):
        assert call(task, "x", **{name: 3}).parameters == {"top_k": 3}
        assert call(task, "x", root={name: 3}).parameters == {"top_k": 3}
        for value, words in ((0, "at least 1"), (-1, "at least 1"), ("2", "whole number"), (True, "whole number")):
            with pytest.raises(PayloadError, match=f"'top_k' must be .*{words}"):
                call(task, "x", **{name: value})


@pytest.mark.parametrize("task", ["text-classification", "fill-mask"])
def test_arguments_for_the_tokenizer_are_parameters(task: str) -> None:
    for given in (
        {"truncation": True},
        {"tokenizer_kwargs": {"truncation": True}},
        {"truncate": True, "padding": True},
    ):
        parameters = call(task, "x", Profile.PYTHON, **given).parameters
        assert parameters == {"truncate": True}
    with pytest.raises(PayloadError, match="unknown parameter 'nix'"):
        call(task, "x", tokenizer_kwargs={"nix": 1})


def test_how_a_text_is_cut_is_said_as_tokenizers_take_it() -> None:
    for given in ("do_not_truncate", "longest_first", "only_first", "only_second", True, False):
        assert call("text-classification", "x", top_k=2, truncation=given).parameters == {"top_k": 2, "truncate": given}
        # There is but one text to cut.
        cut = given in ("longest_first", "only_first", True)
        assert call("fill-mask", "x", tokenizer_kwargs={"truncation": given}).parameters == {"truncate": cut}
    for given in ("do_not_truncate", "only_first", True, False):
        made = call("zero-shot-classification", "x", candidate_labels=["a"], truncation=given)
        assert made.parameters == {"truncate": given}
    for task in ("text-classification", "fill-mask", "zero-shot-classification"):
        with pytest.raises(PayloadError, match="'truncate' must be true or false, 'do_not_truncate'"):
            call(task, "x", truncation="middle", **LIST_TASKS[task])


# ---- text-classification


@pytest.mark.parametrize(
    "pair", [{"text": "x", "text_pair": "y"}, ["x", "y"]], ids=["an object", "a list of two in a list"]
)
def test_pairs_become_rows(pair: Any) -> None:
    assert call("text-classification", [pair, pair]).rows == [{"text": "x", "text_pair": "y"}] * 2
    assert call("text-classification", [pair, "z"]).rows[1] == {"text": "z", "text_pair": ""}


def test_a_single_pair_is_an_object() -> None:
    assert call("text-classification", {"text": "x", "text_pair": "y"}).rows == [{"text": "x", "text_pair": "y"}]
    for inputs in ({"text": "x"}, {"text": "x", "text_pair": None}):
        assert call("text-classification", inputs).rows == [{"text": "x", "text_pair": ""}]
    assert [row["text"] for row in call("text-classification", ["x", "y"]).rows] == ["x", "y"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"text_pair": "y"}, r"must have the key \"text\".*\(keys given: 'text_pair'\)"),
        ({"text": "x", "pair": "y"}, r"may have \"text_pair\" \(keys given: 'text', 'pair'\)"),
        ({"text": 1}, 'text of "inputs" must be a string'),
        ([{"text": "x", "text_pair": ["y"]}], r"text_pair of inputs\[0\] must be a string, not a list"),
        ([["x", 1]], r"text_pair of inputs\[0\] must be a string"),
        ([["x", "y", "z"]], r"inputs\[0\] must be a string or a pair"),
    ],
)
def test_what_is_no_pair_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call("text-classification", inputs)


BEST, ALL = LABELS[:1], LABELS


@pytest.mark.parametrize(
    ("inputs", "parameters", "asked", "shape"),
    [
        ("x", {}, 1, BEST),
        (["x"], {}, 1, BEST),
        (["x", "y"], {}, 1, BEST * 2),
        ("x", {"top_k": 1}, 1, BEST),
        (["x"], {"top_k": 1}, 1, [BEST]),
        (["x", "y"], {"top_k": 1}, 1, [BEST] * 2),
        ("x", {"top_k": None}, None, ALL),
        ("x", {"topK": None}, None, ALL),
        (["x"], {"top_k": None}, None, [ALL]),
        (["x", "y"], {"top_k": None}, None, [ALL] * 2),
        ("x", {"return_all_scores": True}, None, [ALL]),
        (["x", "y"], {"return_all_scores": True}, None, [ALL] * 2),
        ("x", {"return_all_scores": False}, 1, BEST),
    ],
)
def test_labels_in_the_forms_of_the_container(
    inputs: Any, parameters: dict[str, Any], asked: int | None, shape: Any
) -> None:
    made = call("text-classification", inputs, **parameters)
    assert made.parameters.get("top_k") == asked
    assert decoded(made, [labels(asked or 2) for _ in made.rows], Profile.TOOLKIT) == shape


@pytest.mark.parametrize("profile", CLIENTS)
@pytest.mark.parametrize("parameters", [{}, {"top_k": None}, {"return_all_scores": True}])
def test_labels_for_clients_are_nested_and_all_of_them(profile: Profile, parameters: dict[str, Any]) -> None:
    for inputs in ("x", ["x"], ["x", "y"]):
        made = call("text-classification", inputs, profile, **parameters)
        assert made.parameters == {}
        assert decoded(made, [labels() for _ in made.rows], profile) == [ALL] * len(made.rows)


@pytest.mark.parametrize("profile", CLIENTS)
def test_clients_may_ask_for_fewer_labels(profile: Profile) -> None:
    made = call("text-classification", "x", profile, top_k=1)
    assert made.parameters == {"top_k": 1}
    assert decoded(made, [labels(1)], profile) == [BEST]


def test_functions_are_named() -> None:
    assert call("text-classification", "x", Profile.PYTHON, functionToApply="Sigmoid").parameters == {
        "function_to_apply": "sigmoid"
    }
    with pytest.raises(PayloadError, match="one of sigmoid, softmax, none, not the string 'relu'"):
        call("text-classification", "x", function_to_apply="relu")


# ---- zero-shot-classification

SHOT = "zero-shot-classification"


@pytest.mark.parametrize(
    ("inputs", "parameters", "root"),
    [
        ("x", {"candidate_labels": ["a", "b c"]}, {}),
        ("x", {"candidateLabels": ["a", "b c"]}, {}),
        ("x", {"candidate_labels": "a, b c,"}, {}),
        ("x", {}, {"candidate_labels": ["a", "b c"]}),
        ("x", {}, {"candidateLabels": "a,b c"}),
        ({"text": "x", "candidate_labels": ["a", "b c"]}, {}, {}),
        ({"sequences": "x", "candidateLabels": "a,b c"}, {}, {}),
        ({"sequences": ["x"]}, {"candidate_labels": ["a", "b c"]}, {}),
        ({"text": "x", "candidate_labels": ["z"]}, {"candidate_labels": ["a", "b c"]}, {}),
    ],
)
def test_candidate_labels_are_found_where_callers_put_them(
    inputs: Any, parameters: dict[str, Any], root: dict[str, Any]
) -> None:
    made = call(SHOT, inputs, root=root, **parameters)
    assert made.rows == [{"text": "x", "candidate_labels": ["a", "b c"]}]
    assert made.parameters == {}


def test_other_parameters_of_zero_shot() -> None:
    expected = {"multi_label": True, "hypothesis_template": "{}!"}
    given = {"multiLabel": True, "hypothesisTemplate": "{}!"}
    assert call(SHOT, "x", candidate_labels="a", **given).parameters == expected
    assert call(SHOT, {"sequences": "x", "candidate_labels": "a", **expected}).parameters == expected
    assert call(SHOT, "x", candidate_labels="a", multi_class=True).parameters == {"multi_label": True}


@pytest.mark.parametrize(
    ("inputs", "parameters", "words", "status"),
    [
        ("x", {}, '"candidate_labels" must name at least one label', 400),
        ("x", {"candidate_labels": []}, '"candidate_labels" must name at least one label', 400),
        ("x", {"candidate_labels": " , "}, '"candidate_labels" must name at least one label', 400),
        ("x", {"candidate_labels": None}, '"candidate_labels" must name at least one label', 400),
        ("x", {"candidate_labels": ["a", 1]}, "'candidate_labels' must be a list of strings", 400),
        ("x", {"candidate_labels": ["a", "\ud83d"]}, "lone surrogate", 400),
        ("x", {"candidate_labels": ["a"] * 101}, "101 items", 413),
        ("x", {"candidate_labels": ["a" * 2001]}, "2,000 characters", 413),
        ({"candidate_labels": ["a"]}, {}, 'an object with the key "sequences"', 400),
        ({"sequences": "x", "candidate_labels": ["a"], "nix": 1}, {}, "unknown parameter 'nix'", 400),
        ("x", {"candidate_labels": ["a"], "multi_label": 1}, "true or false", 400),
    ],
)
def test_zero_shot_refuses(inputs: Any, parameters: dict[str, Any], words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(SHOT, inputs, **parameters)
    assert caught.value.status == status


def test_texts_times_labels_are_limited() -> None:
    spec = tasks.find(SHOT)
    assert spec is not None
    body = {"inputs": ["x"] * 1000, "candidate_labels": ["a"] * 66}
    with pytest.raises(PayloadError, match="1,000 texts with 66 candidate labels each") as caught:
        spec.encode(Payload.from_json(body, Limits()))
    assert caught.value.status == 413


@pytest.mark.parametrize("profile", [Profile.TOOLKIT, Profile.PYTHON_0, Profile.JAVASCRIPT])
def test_zero_shot_answers_an_object(profile: Profile) -> None:
    found = {"labels": ["good", "bad"], "scores": [0.75, 0.25]}
    for inputs in ("x", ["x"], ["x", "y"]):
        made = call(SHOT, inputs, profile, candidate_labels="bad,good")
        expected = [{"sequence": text, **found} for text in inputs]
        assert decoded(made, [labels() for _ in made.rows], profile) == (expected[0] if inputs == "x" else expected)


def test_zero_shot_answers_a_list_to_the_present_huggingface_hub() -> None:
    for inputs in ("x", ["x"], ["x", "y"]):
        made = call(SHOT, inputs, Profile.PYTHON, candidate_labels="bad,good")
        found = decoded(made, [labels() for _ in made.rows], Profile.PYTHON)
        assert found == (LABELS if inputs == "x" else [LABELS] * len(inputs))


# ---- token-classification

TOKENS = answer(
    entity=["B-PER", "I-PER"], score=[0.5, 0.25], word=["Zo", "##ë"], index=[1, 2], start=[0, 2], end=[2, 3]
)
NO_TOKENS: Answer = {name: array[:0] for name, array in TOKENS.items()}


@pytest.mark.parametrize("profile", [Profile.TOOLKIT, Profile.PYTHON, Profile.PYTHON_0])
@pytest.mark.parametrize("parameters", [{}, {"aggregation_strategy": "none"}])
def test_tokens_have_an_index_and_an_entity(profile: Profile, parameters: dict[str, Any]) -> None:
    made = call("ner", "x", profile, **parameters)
    assert made.parameters == parameters
    assert decoded(made, [TOKENS], profile) == [
        {"entity": "B-PER", "score": 0.5, "index": 1, "word": "Zo", "start": 0, "end": 2},
        {"entity": "I-PER", "score": 0.25, "index": 2, "word": "##ë", "start": 2, "end": 3},
    ]


GROUPED = {"aggregation_strategy": "simple"}


@pytest.mark.parametrize("profile", Profile)
def test_groups_have_an_entity_group(profile: Profile) -> None:
    made = call("ner", "x", profile, aggregationStrategy="Simple")
    assert made.parameters == GROUPED
    group = answer(entity=["PER"], score=[0.5], word=["Zoë"], index=[-1], start=[0], end=[3])
    assert decoded(made, [group], profile) == [
        {"entity_group": "PER", "score": 0.5, "word": "Zoë", "start": 0, "end": 3}
    ]


def test_javascript_gets_groups_unless_it_asks_otherwise() -> None:
    assert call("ner", "x", Profile.JAVASCRIPT).parameters == GROUPED
    assert call("ner", "x", Profile.JAVASCRIPT, aggregation_strategy="none").parameters == {
        "aggregation_strategy": "none"
    }


def test_lists_of_entities() -> None:
    one, many = call("ner", "x"), call("ner", ["x"])
    entities = decoded(one, [TOKENS], Profile.TOOLKIT)
    assert decoded(many, [TOKENS], Profile.TOOLKIT) == [entities]
    assert decoded(call("ner", ["x", "y"]), [NO_TOKENS, TOKENS], Profile.TOOLKIT) == [[], entities]
    assert decoded(one, [NO_TOKENS], Profile.TOOLKIT) == []


def test_places_that_are_not_known_are_null() -> None:
    unknown = {**TOKENS, "start": column([-1, -1]), "end": column([-1, -1])}
    assert [(found["start"], found["end"]) for found in decoded(call("ner", "x"), [unknown], Profile.TOOLKIT)] == [
        (None, None)
    ] * 2


def test_parameters_of_token_classification() -> None:
    assert call("ner", "x", ignoreLabels=["O", "PER"], stride=3).parameters == {
        "ignore_labels": ["O", "PER"],
        "stride": 3,
    }
    for wrong, words in (({"stride": -1}, "at least 0"), ({"aggregation_strategy": "best"}, "none, simple, first")):
        with pytest.raises(PayloadError, match=words):
            call("ner", "x", **wrong)


# ---- fill-mask

CANDIDATES = [
    {"score": 0.5, "token": 7, "token_str": "cat", "sequence": "a cat"},
    {"score": 0.25, "token": 8, "token_str": "dög", "sequence": "a dög"},
]


def candidates(masks: int) -> Answer:
    rows = [(mask, row) for mask in range(masks) for row in CANDIDATES]
    columns = {name: [row[name] for _, row in rows] for name in CANDIDATES[0]}
    return answer(mask_index=[mask for mask, _ in rows], **columns)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(
    ("inputs", "masks", "shape"),
    [
        ("x", [1], CANDIDATES),
        (["x"], [1], CANDIDATES),
        (["x", "y"], [1, 1], [CANDIDATES] * 2),
        ("x", [2], [CANDIDATES] * 2),
        (["x"], [2], [CANDIDATES] * 2),
        (["x", "y"], [2, 1], [[CANDIDATES] * 2, CANDIDATES]),
    ],
)
def test_candidates_for_masks(profile: Profile, inputs: Any, masks: list[int], shape: Any) -> None:
    made = call("fill-mask", inputs, profile)
    assert decoded(made, [candidates(count) for count in masks], profile) == shape


def test_targets_are_a_list_of_words() -> None:
    assert call("fill-mask", "x", targets=["a", "b"]).parameters == {"targets": ["a", "b"]}
    assert call("fill-mask", "x", targets="a, b").parameters == {"targets": ["a, b"]}
    with pytest.raises(PayloadError, match="'targets' must be a list of strings"):
        call("fill-mask", "x", targets=[1])


# ---- what huggingface_hub makes of it


@pytest.mark.parametrize(
    ("task", "given", "made"),
    [
        ("text-classification", labels(), lambda client: client.TextClassificationOutputElement),
        ("fill-mask", candidates(1), lambda client: client.FillMaskOutputElement),
        ("token-classification", TOKENS, lambda client: client.TokenClassificationOutputElement),
        (SHOT, labels(), lambda client: client.ZeroShotClassificationOutputElement),
    ],
)
def test_its_parsers_take_the_answers(task: str, given: Answer, made: Callable[[Any], Any]) -> None:
    import huggingface_hub

    found = decoded(call(task, "x", Profile.PYTHON, **LIST_TASKS[task]), [given], Profile.PYTHON)
    if task == "text-classification":
        found = found[0]
    assert all(isinstance(item, made(huggingface_hub)) for item in made(huggingface_hub).parse_obj_as_list(found))


# ---- token-classification: texts in words


def words_of(inputs: Any, **parameters: Any) -> tuple[list[Any], bool]:
    """The lists of words that the rows hold, and whether the answer of the first is given by itself."""
    made = call("token-classification", inputs, is_split_into_words=True, **parameters)
    entity = answer(entity=["X"], score=[0.5], index=[1], word=["a"], start=[0], end=[1])
    shape = decoded(made, [entity] * len(made.rows), Profile.TOOLKIT)
    return [json.loads(str(row["text"])) for row in made.rows], isinstance(shape[0], dict)


def test_words_become_rows() -> None:
    assert words_of(["a", "dog"]) == ([["a", "dog"]], False)
    assert words_of([["a", "dog"], ["x"], []]) == ([["a", "dog"], ["x"], []], False)
    assert words_of([["Zürich", ""]], delimiter="--") == ([["Zürich", ""]], False)
    assert call("token-classification", "x", isSplitIntoWords=False, delimiter="-").rows == [{"text": "x"}]


@pytest.mark.parametrize(
    ("inputs", "words", "status"),
    [
        ("a dog", r'"inputs" must be a list of words where is_split_into_words is true, not the string', 400),
        ([], '"inputs" is an empty list', 400),
        (["a", ["dog"]], r"inputs\[0\] must be a list of words .* not the string 'a'", 400),
        ([["a"], 5], r"inputs\[1\] must be a list of words .* not the number 5", 400),
        (["a", 5], r"inputs\[1\] must be a string, not the number 5", 400),
        ([["a", None]], r"inputs\[0\]\[1\] must be a string, not null", 400),
        ([["x" * 60_000, "y" * 60_000]], r"inputs\[0\] has 120,008 characters", 413),
        ([["a"]] * 101, "101 items", 413),
        (["\ud83d"], "lone surrogate", 400),
    ],
)
def test_what_are_no_words_is_refused(inputs: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        words_of(inputs)
    assert caught.value.status == status

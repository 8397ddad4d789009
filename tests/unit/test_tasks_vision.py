"""Payloads for models that look at images, in all their forms, and the answers' forms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.shim import body, transport
from hub2triton.tasks.media import Link, base64_of
from hub2triton.tasks.parameter import from_query
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile
from hub2triton.tasks.visual_answering import MAX_COPIED

LABEL, SHOT, ASK = "image-classification", "zero-shot-image-classification", "visual-question-answering"
FILE, OTHER = b"\x89PNG one", b"\xff\xd8\xff two?>"
ONE, TWO = base64_of(FILE), base64_of(OTHER)
NEEDED: dict[str, dict[str, Any]] = {LABEL: {}, SHOT: {"candidate_labels": ["a"]}, ASK: {"question": "who?"}}

each_task = pytest.mark.parametrize("task", NEEDED)


def sent(task: str, content: Any, query: str = "", content_type: str = "") -> Call:
    """What a body asks for, as the shim reads it."""
    spec = tasks.find(task)
    assert spec is not None
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    pairs = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    given = body.content(raw, content_type, spec)
    named = from_query(pairs, spec.parameters)  # type: ignore[arg-type]
    return spec.encode(Payload.from_json(given, Limits(text_length=1000, rows=100), spec.root_forms, query=named))


def call(task: str, inputs: Any, **parameters: Any) -> Call:
    return sent(task, {"inputs": inputs, "parameters": parameters})


def shape(made: Call, answers: list[Answer], profile: Profile = Profile.TOOLKIT) -> Any:
    """What the caller reads."""
    return json.loads(transport.json_response(made.decode(answers, profile)).body)


def answer(text: str, values: list[bytes]) -> Answer:
    scores = np.array([0.75, 0.25], dtype=np.float32)[: len(values)]
    return {text: np.array(values, dtype=np.object_), "score": scores}


# ---- all of them


@each_task
@pytest.mark.parametrize(
    ("given", "found"),
    [
        (ONE, FILE),
        (TWO, OTHER),
        (TWO.rstrip("="), OTHER),
        (TWO.replace("/", "_").replace("+", "-"), OTHER),
        (f"{ONE[:6]}\r\n{ONE[6:]}", FILE),
        (f"data:image/png;base64,{ONE}", FILE),
        ("https://example.com/a.jpg", Link("https://example.com/a.jpg")),
    ],
)
def test_an_image_comes_in_many_spellings(task: str, given: str, found: Any) -> None:
    for inputs in (given, {"image": given}):
        (row,) = call(task, inputs, **NEEDED[task]).rows
        assert row["image"] == found
    for inputs in ([given, ONE], [{"image": given}, ONE], {"image": [given, ONE]}):
        assert [row["image"] for row in call(task, inputs, **NEEDED[task]).rows] == [found, FILE]


@each_task
@pytest.mark.parametrize("content_type", ["image/jpeg", "", "application/octet-stream"])
def test_a_body_may_be_an_image_and_the_query_the_rest(task: str, content_type: str) -> None:
    queries = {LABEL: "top_k=2", SHOT: "candidate_labels=a,b c", ASK: "question=who?&topk=2"}
    (row,) = sent(task, FILE, queries[task], content_type).rows
    assert row["image"] == FILE
    for name in ("timeout=5", "timeout=none"):
        assert sent(task, FILE, f"{queries[task]}&{name}", content_type).rows == [row]


@each_task
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], '"inputs" is an empty list'),
        (None, "not null"),
        (5, "not the number 5"),
        ("", "is empty"),
        ("/etc/hostname", "not base64.*names of files are not opened"),
        ("image.jpg", "not base64"),
        ("data:image/png,abc", "data URL without base64"),
        ({"picture": ONE}, "key \"image\".*keys given: 'picture'"),
        ({"image": ""}, "is empty"),
        ([ONE, {"picture": ONE}], r"inputs\[1\] must be .*\(keys given: 'picture'\)"),
        ([ONE, "a b.png"], r"inputs\[1\] is not base64"),
        ([[ONE]], "not a list"),
        ({"image": ONE, "nix": 1}, "unknown parameter 'nix'"),
    ],
)
def test_what_is_no_image_is_refused(task: str, inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(task, inputs, **NEEDED[task])
    assert caught.value.status == 400


@each_task
def test_an_unknown_parameter_is_refused(task: str) -> None:
    with pytest.raises(PayloadError, match="unknown parameter 'nix'"):
        call(task, ONE, nix=1, **NEEDED[task])


@each_task
def test_a_list_is_limited(task: str) -> None:
    with pytest.raises(PayloadError, match="101 items") as caught:
        call(task, [ONE] * 101, **NEEDED[task])
    assert caught.value.status == 413


# ---- image-classification

BEST = [{"label": "cat", "score": 0.75}, {"label": "dög", "score": 0.25}]
LABELS = answer("label", [b"cat", "dög".encode()])


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("task", [LABEL, SHOT])
def test_labels_are_a_list_for_each_image(task: str, profile: Profile) -> None:
    for inputs in (ONE, {"image": ONE}):
        assert shape(call(task, inputs, **NEEDED[task]), [LABELS], profile) == BEST
    assert shape(call(task, [ONE], **NEEDED[task]), [LABELS], profile) == [BEST]
    assert shape(call(task, [ONE, TWO], **NEEDED[task]), [LABELS] * 2, profile) == [BEST] * 2


@pytest.mark.parametrize("task", [LABEL, ASK])
def test_the_number_of_answers_is_one_or_more(task: str) -> None:
    for name in ("top_k", "topK", "topk"):
        assert call(task, ONE, **{name: 3}, **NEEDED[task]).parameters == {"top_k": 3}
        assert sent(task, {"inputs": ONE, name: 3, **NEEDED[task]}).parameters == {"top_k": 3}
        for value, words in ((0, "at least 1"), (-1, "at least 1"), ("2", "whole number"), (True, "whole number")):
            with pytest.raises(PayloadError, match=f"'top_k' must be .*{words}"):
                call(task, ONE, **{name: value}, **NEEDED[task])
    assert call(task, {"image": ONE, "top_k": 3}, **NEEDED[task]).parameters == {"top_k": 3}
    assert call(task, {"image": ONE, "top_k": 3}, top_k=2, **NEEDED[task]).parameters == {"top_k": 2}
    assert call(task, ONE, top_k=None, **NEEDED[task]).parameters == {}
    assert sent(task, FILE, "top_k=2&question=who?" if task == ASK else "top_k=2").parameters == {"top_k": 2}


def test_functions_are_named() -> None:
    assert call(LABEL, ONE, functionToApply="Sigmoid").parameters == {"function_to_apply": "sigmoid"}
    with pytest.raises(PayloadError, match="one of sigmoid, softmax, none, not the string 'relu'"):
        call(LABEL, ONE, function_to_apply="relu")


# ---- zero-shot-image-classification


def test_candidate_labels_are_found_where_callers_put_them() -> None:
    labels, expected = ["a", "b c"], [{"image": FILE, "candidate_labels": ["a", "b c"]}]
    for made in (
        call(SHOT, ONE, candidate_labels=labels),
        call(SHOT, {"image": ONE}, candidateLabels=labels),
        call(SHOT, {"image": ONE, "candidate_labels": labels}),
        call(SHOT, {"image": ONE, "candidateLabels": "a, b c,"}),
        call(SHOT, {"image": ONE, "candidate_labels": ["z"]}, candidate_labels=labels),
        call(SHOT, [{"image": ONE, "candidate_labels": labels}]),
        call(SHOT, [{"image": ONE, "candidateLabels": "a,b c"}], candidate_labels=["z"]),
        sent(SHOT, {"inputs": ONE, "candidate_labels": labels}),
        sent(SHOT, {"inputs": ONE, "candidateLabels": "a,b c"}),
        sent(SHOT, FILE, "candidate_labels=a,b c"),
        sent(SHOT, FILE, "candidateLabels=a,b c"),
        sent(SHOT, FILE, "candidate_labels=a&candidate_labels=b c"),
    ):
        assert made.rows == expected
        assert made.parameters == {}


def test_images_may_have_labels_of_their_own() -> None:
    made = call(SHOT, [{"image": ONE, "candidate_labels": ["a"]}, TWO], candidate_labels=["b"])
    assert [row["candidate_labels"] for row in made.rows] == [["a"], ["b"]]


def test_other_parameters_of_zero_shot() -> None:
    assert call(SHOT, ONE, candidate_labels="a", hypothesisTemplate="{}!").parameters == {"hypothesis_template": "{}!"}
    for kwargs in ({"truncation": "do_not_truncate"}, {"truncation": False, "padding": "max_length"}):
        assert call(SHOT, ONE, candidate_labels="a", tokenizer_kwargs=kwargs).parameters == {"truncate": False}
    assert call(SHOT, ONE, candidate_labels="a", tokenizer_kwargs={"max_length": 9}).parameters == {"max_length": 9}


@pytest.mark.parametrize(
    ("parameters", "words", "status"),
    [
        ({}, '"candidate_labels" must name at least one label', 400),
        ({"candidate_labels": []}, '"candidate_labels" must name at least one label', 400),
        ({"candidate_labels": " , "}, '"candidate_labels" must name at least one label', 400),
        ({"candidate_labels": None}, '"candidate_labels" must name at least one label', 400),
        ({"candidate_labels": ["a", 1]}, "'candidate_labels' must be a list of strings", 400),
        ({"candidate_labels": ["a"] * 101}, "101 items", 413),
        ({"candidate_labels": ["a" * 1001]}, "1,001 characters", 413),
        ({"candidate_labels": "a", "max_length": 0}, "at least 1", 400),
    ],
)
def test_zero_shot_refuses(parameters: dict[str, Any], words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(SHOT, ONE, **parameters)
    assert caught.value.status == status


def test_images_times_labels_are_limited() -> None:
    spec = tasks.find(SHOT)
    assert spec is not None
    given = {"inputs": [ONE] * 1000, "candidate_labels": ["a"] * 66}
    with pytest.raises(PayloadError, match="images times labels may be 65,536") as caught:
        spec.encode(Payload.from_json(given, Limits()))
    assert caught.value.status == 413


# ---- visual-question-answering

ANSWERS = [{"score": 0.75, "answer": "ja"}, {"score": 0.25, "answer": "nö"}]
ANSWER = answer("answer", [b"ja", "nö".encode()])


def test_questions_are_found_where_callers_put_them() -> None:
    for made in (
        call(ASK, {"image": ONE, "question": "who?"}),
        call(ASK, {"question": "who?", "image": f"data:image/png;base64,{ONE}"}),
        call(ASK, ONE, question="who?"),
        sent(ASK, {"inputs": ONE, "parameters": {}, "question": "who?", "image": ONE}),  # huggingface_hub
        sent(ASK, {"image": ONE, "question": "who?"}),
        sent(ASK, FILE, "question=who?", "image/png"),
        sent(ASK, {"inputs": {"image": ONE, "question": "who?"}, "parameters": {"padding": True, "timeout": 3}}),
    ):
        assert made.rows == [{"image": FILE, "question": "who?"}]
        assert made.parameters == {}
        assert shape(made, [ANSWER]) == ANSWERS


@pytest.mark.parametrize("profile", Profile)
def test_answers_are_a_list_for_each_question(profile: Profile) -> None:
    for made, pairs in (
        (call(ASK, [{"image": ONE, "question": "a"}]), [(FILE, "a")]),
        (call(ASK, {"image": ONE, "question": ["a"]}), [(FILE, "a")]),
        (call(ASK, {"image": ONE, "question": ["a", "b"]}), [(FILE, "a"), (FILE, "b")]),
        (call(ASK, ONE, question=["a", "b"]), [(FILE, "a"), (FILE, "b")]),
        (sent(ASK, FILE, "question=a&question=b"), [(FILE, "a"), (FILE, "b")]),
        (call(ASK, [ONE, TWO], question="a"), [(FILE, "a"), (OTHER, "a")]),
        (
            call(ASK, {"image": [ONE, TWO], "question": ["a", "b"]}),
            [(FILE, "a"), (FILE, "b"), (OTHER, "a"), (OTHER, "b")],
        ),
        (
            call(ASK, [{"image": ONE, "question": "a"}, {"image": TWO, "question": ["b", "c"]}]),
            [(FILE, "a"), (OTHER, "b"), (OTHER, "c")],
        ),
    ):
        assert [(row["image"], row["question"]) for row in made.rows] == pairs
        assert shape(made, [ANSWER] * len(pairs), profile) == [ANSWERS] * len(pairs)


@pytest.mark.parametrize(
    ("inputs", "words", "status"),
    [
        (ONE, "there is no question", 400),
        ({"image": ONE}, "there is no question", 400),
        ([{"image": ONE}], "there is no question", 400),
        ({"question": "who?"}, 'the key "image"', 400),
        ([{"question": "who?"}], r"inputs\[0\] must be .*keys given: 'question'", 400),
        ({"image": ONE, "question": " "}, "the question is empty", 400),
        ({"image": ONE, "question": []}, "the question is empty", 400),
        ({"image": ONE, "question": ["a", ""]}, "the question is empty", 400),
        ({"image": ONE, "question": 5}, "not the number 5", 400),
        ({"image": ONE, "question": {"a": 1}}, "not an object", 400),
        ({"image": ONE, "question": "x" * 1001}, "1,001 characters", 413),
        ({"image": [ONE] * 20, "question": ["a"] * 20}, "400 questions are too many", 413),
        ([{"image": ONE, "question": "a", "top_k": 1}], "keys given: 'image', 'question', 'top_k'", 400),
    ],
)
def test_visual_question_answering_refuses(inputs: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(ASK, inputs)
    assert caught.value.status == status


def test_images_times_questions_are_limited() -> None:
    spec = tasks.find(ASK)
    assert spec is not None
    given = {"inputs": bytes(MAX_COPIED // 3), "question": ["a"] * 4}
    with pytest.raises(PayloadError, match="too many questions about so large images") as caught:
        spec.encode(Payload.from_json(given, Limits()))
    assert caught.value.status == 413
    assert len(spec.encode(Payload.from_json({**given, "question": ["a"] * 3}, Limits())).rows) == 3


# ---- what huggingface_hub makes of it


def test_its_parsers_take_the_answers() -> None:
    import huggingface_hub as hub

    for task, given, element in (
        (LABEL, LABELS, hub.ImageClassificationOutputElement),
        (SHOT, LABELS, hub.ZeroShotImageClassificationOutputElement),
        (ASK, ANSWER, hub.VisualQuestionAnsweringOutputElement),
    ):
        found = element.parse_obj_as_list(shape(call(task, ONE, **NEEDED[task]), [given], Profile.PYTHON))
        assert [item.score for item in found] == [0.75, 0.25]


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("ViTForImageClassification", LABEL),
        ("DeiTForImageClassificationWithTeacher", LABEL),
        ("CLIPModel", SHOT),
        ("ChineseCLIPModel", SHOT),
        ("SiglipModel", SHOT),
        ("Siglip2Model", SHOT),
        ("ViltForQuestionAnswering", ASK),
        ("BlipForQuestionAnswering", ASK),
        ("BertForQuestionAnswering", "question-answering"),
        ("BertModel", "feature-extraction"),
    ],
)
def test_tasks_are_told_by_the_class(architecture: str, task: str) -> None:
    from hub2triton.generate.facts import matches

    first = next(spec for spec in tasks.SPECS if matches(spec.architectures, [architecture]))
    assert first.name == task

from __future__ import annotations

import base64
import json
from typing import Any

import huggingface_hub
import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.shim import transport
from hub2triton.tasks.media import Link, base64_of
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile

TASKS = ("object-detection", "image-segmentation")
FILE = b"\x89PNG"
TEXT = base64_of(FILE)


def call(
    task: str, inputs: Any, profile: Profile = Profile.TOOLKIT, root: dict[str, Any] | None = None, **parameters: Any
) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    body = {"inputs": inputs, "parameters": parameters, **(root or {})}
    return spec.encode(Payload.from_json(body, Limits(rows=100), profile=profile))


def decoded(made: Call, answers: list[Answer], profile: Profile = Profile.TOOLKIT) -> Any:
    """What the caller reads."""
    return json.loads(transport.json_response(made.decode(answers, profile)).body)


def answer(task: str, count: int = 2) -> Answer:
    """What a model tells of an image: a cat and a dog, or less."""
    found: Answer = {
        "label": np.array([b"cat", b"d\xc3\xb6g"][:count], dtype=np.object_),
        "score": np.array([0.75, 0.1][:count], dtype=np.float32),
    }
    if task == "object-detection":
        return found | {"box": np.array([[1, 2, 30, 40], [-3, 0, 5, 6]][:count], dtype=np.int32).reshape(-1, 4)}
    return found | {"mask": np.array([b"\x89PNG 1", b"\x89PNG 2"][:count], dtype=np.object_)}


FOUND: dict[str, list[Any]] = {
    "object-detection": [
        {"score": 0.75, "label": "cat", "box": {"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 40}},
        {"score": 0.1, "label": "dög", "box": {"xmin": -3, "ymin": 0, "xmax": 5, "ymax": 6}},
    ],
    "image-segmentation": [
        {"score": 0.75, "label": "cat", "mask": base64.b64encode(b"\x89PNG 1").decode()},
        {"score": 0.1, "label": "dög", "mask": base64.b64encode(b"\x89PNG 2").decode()},
    ],
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("item", [FILE, TEXT, f"data:image/png;base64,{TEXT}", {"image": TEXT}])
def test_an_image_or_a_list_of_images_becomes_rows(task: str, item: Any) -> None:
    assert call(task, item).rows == [{"image": FILE}]
    assert call(task, [item]).rows == [{"image": FILE}]
    assert call(task, [item, TEXT, item]).rows == [{"image": FILE}] * 3


@pytest.mark.parametrize("task", TASKS)
def test_links_stay_links(task: str) -> None:
    assert call(task, ["http://x/y.png", TEXT]).rows == [{"image": Link("http://x/y.png")}, {"image": FILE}]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("inputs", "words", "status"),
    [
        ([], '"inputs" is an empty list', 400),
        (None, '"inputs" must be .*, not null', 400),
        (5, '"inputs" must be .*, not the number 5', 400),
        (["", TEXT], r"inputs\[0\] is empty", 400),
        ([TEXT, 5], r"inputs\[1\] must be .*, not the number 5", 400),
        ([TEXT, [TEXT]], r"inputs\[1\] must be .*, not a list", 400),
        ({"nonsense": 1}, "'nonsense'", 400),
        ([{"nonsense": 1}], "'nonsense'", 400),
        ("/etc/passwd.png", "names of files are not opened", 400),
        ([TEXT] * 101, "101 items", 413),
    ],
)
def test_what_is_no_image_is_refused(task: str, inputs: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(task, inputs)
    assert caught.value.status == status


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("profile", Profile)
def test_answers_have_one_form_for_all_clients(task: str, profile: Profile) -> None:
    assert decoded(call(task, TEXT, profile), [answer(task)], profile) == FOUND[task]
    assert decoded(call(task, [TEXT], profile), [answer(task)], profile) == [FOUND[task]]
    several = decoded(call(task, [TEXT] * 3, profile), [answer(task, count) for count in (2, 0, 1)], profile)
    assert several == [FOUND[task], [], FOUND[task][:1]]
    assert decoded(call(task, TEXT, profile), [answer(task, 0)], profile) == []


@pytest.mark.parametrize("task", TASKS)
def test_numbers_are_numbers_for_the_client_of_javascript(task: str) -> None:
    for item in decoded(call(task, TEXT, Profile.JAVASCRIPT), [answer(task)], Profile.JAVASCRIPT):
        assert isinstance(item["score"], float)
        assert all(isinstance(number, int) for number in item.get("box", {}).values())


@pytest.mark.parametrize(
    ("task", "given", "parameters"),
    [
        ("object-detection", {"threshold": 0.1}, {"threshold": 0.1}),
        ("object-detection", {"threshold": 1}, {"threshold": 1}),
        ("object-detection", {"threshold": None}, {}),
        ("image-segmentation", {"subtask": "Semantic"}, {"subtask": "semantic"}),
        (
            "image-segmentation",
            {"threshold": 0.1, "maskThreshold": 0.2, "overlapMaskAreaThreshold": 0.3, "subtask": "panoptic"},
            {"threshold": 0.1, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.3, "subtask": "panoptic"},
        ),
    ],
)
def test_parameters_in_all_spellings(task: str, given: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert call(task, TEXT, **given).parameters == parameters
    assert call(task, TEXT, root=given).parameters == parameters
    assert call(task, {"image": TEXT, **given}).parameters == parameters


@pytest.mark.parametrize("task", TASKS)
def test_a_timeout_for_links_is_passed_over(task: str) -> None:
    assert call(task, TEXT, timeout=3).parameters == {}


@pytest.mark.parametrize(
    ("task", "parameters", "words"),
    [
        ("object-detection", {"threshold": "0.1"}, "'threshold' must be a number, not the string '0.1'"),
        ("object-detection", {"threshold": True}, "'threshold' must be a number, not true"),
        ("object-detection", {"subtask": "semantic"}, "unknown parameter 'subtask'"),
        ("image-segmentation", {"subtask": "all"}, "one of panoptic, instance, semantic, not the string 'all'"),
        ("image-segmentation", {"mask_threshold": []}, "'mask_threshold' must be a number, not a list"),
        ("image-segmentation", {"mask_treshold": 1}, "did you mean 'mask_threshold'"),
    ],
)
def test_wrong_parameters_are_refused(task: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call(task, TEXT, **parameters)


@pytest.mark.parametrize(
    ("task", "element"),
    [
        ("object-detection", huggingface_hub.ObjectDetectionOutputElement),
        ("image-segmentation", huggingface_hub.ImageSegmentationOutputElement),
    ],
)
def test_the_parsers_of_huggingface_hub_take_the_answers(task: str, element: Any) -> None:
    found = element.parse_obj_as_list(decoded(call(task, TEXT, Profile.PYTHON), [answer(task)], Profile.PYTHON))
    assert [item.label for item in found] == ["cat", "dög"]
    assert task != "object-detection" or found[0].box.ymax == 40

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from hub2triton import tasks
from hub2triton.shim import transport
from hub2triton.tasks.media import MediaAnswer
from hub2triton.tasks.payload import Limits, PayloadError
from hub2triton.tasks.request import call_of
from hub2triton.tasks.spec import Answer, Call, Profile

PNGS = [b"first", b"second", b"third", b"fourth"]
BASE64 = [base64.b64encode(png).decode() for png in PNGS]


def encoded(body: dict[str, Any], **limits: int) -> Call:
    spec = tasks.find("text-to-image")
    assert spec is not None
    return call_of(spec, body, Limits(**limits), Profile.TOOLKIT, {})


def call(inputs: Any, **parameters: Any) -> Call:
    return encoded({"inputs": inputs, "parameters": parameters})


def answers(*rows: list[bytes]) -> list[Answer]:
    return [{"image": np.array(row, dtype=np.object_)} for row in rows]


@pytest.mark.parametrize(
    ("body", "prompts"),
    [
        ({"inputs": "a cat"}, ["a cat"]),
        ({"inputs": ""}, [""]),
        ({"inputs": {"prompt": "a cat"}}, ["a cat"]),
        ({"prompt": "a cat"}, ["a cat"]),
        ({"inputs": ["a cat", "a dog"]}, ["a cat", "a dog"]),
        ({"inputs": [{"prompt": "a cat"}, "a dog"]}, ["a cat", "a dog"]),
        ({"prompt": ["a cat", "a dog"]}, ["a cat", "a dog"]),
        ({"instances": ["a cat", {"prompt": "a dog"}]}, ["a cat", "a dog"]),
    ],
    ids=str,
)
def test_prompts_become_rows(body: dict[str, Any], prompts: list[str]) -> None:
    assert encoded(body).rows == [{"prompt": prompt} for prompt in prompts]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "empty list"),
        (None, '"inputs" must be a string, not null'),
        (5, "not the number 5"),
        ({"nonsense": 1}, '"inputs" must be a prompt, or {"prompt": …} alone'),
        ({"prompt": None}, '"inputs" must be a string, not null'),
        (["x", 5], "inputs[1] must be a string"),
        ([{"prompt": "x", "seed": 1}], "inputs[0] must be a prompt"),
        ([{"prompt": 5}], "inputs[0].prompt must be a string"),
    ],
    ids=str,
)
def test_what_is_no_prompt_is_refused(inputs: Any, words: str) -> None:
    with pytest.raises(PayloadError) as error:
        call(inputs)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ({"parameters": {"target_size": {"width": 64, "height": 32}}}, {"width": 64, "height": 32}),
        ({"parameters": {"targetSize": {"width": 64}, "height": 8}}, {"width": 64, "height": 8}),
        ({"parameters": {"target_size": {"width": 64}, "width": 8}}, {"width": 8}),
        ({"parameters": {"target_size": None, "seed": None}}, {}),
        ({"parameters": {"numInferenceSteps": 3, "guidanceScale": 2}}, {"num_inference_steps": 3, "guidance_scale": 2}),
        ({"parameters": {"output_type": "np", "returnDict": False, "model": "x"}}, {}),
        ({"negative_prompt": "fog", "seed": 1, "parameters": {"seed": 2}}, {"negative_prompt": "fog", "seed": 2}),
        ({"parameters": {"scheduler": "Euler a", "num_images_per_prompt": 2}}, None),
    ],
    ids=str,
)
def test_parameters_are_understood(body: dict[str, Any], parameters: dict[str, Any] | None) -> None:
    wanted = body["parameters"] if parameters is None else parameters
    assert encoded({"inputs": "x", **body}).parameters == wanted


def test_parameters_may_stand_beside_a_single_prompt() -> None:
    body = {"inputs": {"prompt": "x", "negative_prompt": "fog", "seed": 1}, "parameters": {"seed": 2}}
    assert encoded(body).parameters == {"negative_prompt": "fog", "seed": 2}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"height": 8.5}, "'height' must be a whole number"),
        ({"height": 0}, "'height' must be at least 1, not 0"),
        ({"seed": -1}, "'seed' must be at least 0, not -1"),
        ({"seed": True}, "'seed' must be a whole number, not true"),
        ({"num_images_per_prompt": 0}, "'num_images_per_prompt' must be at least 1"),
        ({"target_size": [1, 2]}, "'target_size' must be an object, not a list"),
        ({"target_size": {"width": "64"}}, "'width' must be a whole number"),
        ({"target_size": {"depth": 1}}, "unknown parameter 'depth'"),
        ({"guidance": 1}, "unknown parameter 'guidance'; did you mean 'guidance_scale'?"),
        ({"negative_prompt": ["fog"]}, "'negative_prompt' must be a string, not a list"),
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadError) as error:
        call("x", **parameters)
    assert words in str(error.value)


def test_too_much_is_refused() -> None:
    for inputs, limits in (("xxx", {"text_length": 2}), (["x"] * 3, {"rows": 2})):
        with pytest.raises(PayloadError) as error:
            encoded({"inputs": inputs}, **limits)
        assert error.value.status == 413


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize(
    ("accept", "is_file"), [("", True), ("*/*", True), ("image/png", True), ("application/json", False)]
)
def test_one_image_is_a_file_unless_json_is_asked_for(profile: Profile, accept: str, is_file: bool) -> None:
    for inputs in ("x", {"prompt": "x"}):
        decoded = call(inputs).decode(answers(PNGS[:1]), profile)
        assert isinstance(decoded, MediaAnswer)
        found = transport.response(decoded, accept)
        assert found.headers["content-type"] == ("image/png" if is_file else "application/json")
        assert found.body == (PNGS[0] if is_file else json.dumps(BASE64[0]).encode())


@pytest.mark.parametrize("profile", Profile)
def test_several_images_are_lists_in_base64(profile: Profile) -> None:
    assert call(["x"]).decode(answers(PNGS[:1]), profile) == BASE64[:1]
    assert call(["x", "y"]).decode(answers(PNGS[:1], PNGS[1:2]), profile) == BASE64[:2]
    assert call("x", num_images_per_prompt=2).decode(answers(PNGS[:2]), profile) == BASE64[:2]
    several = call(["x", "y"], num_images_per_prompt=2)
    assert several.decode(answers(PNGS[:2], PNGS[2:]), profile) == [BASE64[:2], BASE64[2:]]
    assert call(["x"], num_images_per_prompt=2).decode(answers(PNGS[:2]), profile) == [BASE64[:2]]


def test_predictions_are_in_base64() -> None:
    assert encoded({"instances": ["x", "y"]}).decode(answers(PNGS[:1], PNGS[1:2]), Profile.TOOLKIT) == {
        "predictions": BASE64[:2]
    }

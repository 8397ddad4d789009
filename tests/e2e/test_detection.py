"""Served models that find objects and segments give what transformers' own pipelines give, to every client."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from huggingface_hub import InferenceClient
from PIL import Image
from tests import media, reference
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tritonclient.utils import InferenceServerException

from hub2triton.tasks.media import base64_of

pytestmark = pytest.mark.e2e

MODELS = {
    "objects": ("object-detection", "detr_objects"),
    "classes": ("image-segmentation", "segformer_classes"),
    "segments": ("image-segmentation", "mask2former_segments"),
}
PHOTO = media.photo(60, 45, 1)
JPEG = media.image_file(PHOTO, "jpeg")
FILES = [
    JPEG,
    media.image_file(media.photo(40, 90, 2), "png-alpha"),
    media.image_file(media.photo(64, 33, 3), "webp"),
    media.image_file(media.photo(50, 40, 4), "jpeg", orientation=6),
]
IMAGES = [base64_of(file) for file in FILES]
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28 Mozilla/5.0"}
MORE = {"threshold": 0.2}

Wanted = Callable[..., Any]


@pytest.fixture(scope="module")
def detecting(served: Service, load: Load, tiny: Callable[[str], Path]) -> Service:
    """The server with this module's models in it."""
    load(*((name, tiny(made), task) for name, (task, made) in MODELS.items()))
    return served


@pytest.fixture(scope="module")
def wanted(tiny: Callable[[str], Path]) -> Wanted:
    def answer(name: str, inputs: Any, **parameters: Any) -> Any:
        task, made = MODELS[name]
        return reference.answer(task, tiny(made), inputs, parameters)

    return answer


def same(found: Any, expected: Any) -> None:
    assert reference.difference(found, expected) is None


def post(service: Service, name: str, headers: dict[str, str] | None = None, query: str = "", **body: Any) -> Any:
    """An answer to `content`, the bytes of a body, or to `json`."""
    response = httpx.post(f"{service.url}/models/{name}{query}", headers=headers, timeout=60, **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("headers", [{}, {"content-type": "image/jpeg"}, {"content-type": "image/x-image"}, JAVASCRIPT])
def test_a_file_as_the_body(detecting: Service, wanted: Wanted, name: str, headers: dict[str, str]) -> None:
    same(post(detecting, name, headers, content=JPEG), wanted(name, IMAGES[0]))
    expected = wanted(name, IMAGES[0], threshold=0.1)
    same(post(detecting, name, headers, query="?threshold=0.1", content=JPEG), expected)


@pytest.mark.parametrize("name", MODELS)
def test_images_in_json(detecting: Service, wanted: Wanted, name: str) -> None:
    expected = [wanted(name, image, **MORE) for image in IMAGES]
    assert all(expected)
    same(post(detecting, name, json={"inputs": IMAGES, "parameters": MORE}), expected)
    many = [IMAGES[index % 4] for index in range(19)]  # more than one batch
    found = post(detecting, name, json={"inputs": many, "parameters": MORE})
    same(found, [expected[index % 4] for index in range(19)])
    for image, own in zip(IMAGES, expected, strict=True):
        same(post(detecting, name, json={"inputs": {"image": image}, "parameters": MORE}), own)
        same(post(detecting, name, JAVASCRIPT, json={"inputs": image, **MORE}), own)
    same(post(detecting, name, json={"inputs": [IMAGES[2]], "parameters": MORE}), expected[2:3])


@pytest.mark.parametrize("subtask", ["panoptic", "instance", "semantic"])
def test_subtasks(detecting: Service, wanted: Wanted, subtask: str) -> None:
    parameters = {"subtask": subtask, "threshold": 0.2, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.1}
    expected = wanted("segments", IMAGES[0], **parameters)
    assert expected
    same(post(detecting, "segments", json={"inputs": IMAGES[0], "parameters": parameters}), expected)
    query = "?" + "&".join(f"{name}={value}" for name, value in parameters.items())
    same(post(detecting, "segments", query=query, content=JPEG), expected)


async def test_rows_of_many_callers_are_answered_as_if_alone(detecting: Service, wanted: Wanted) -> None:
    expected = {name: [wanted(name, image, **MORE) for image in IMAGES] for name in MODELS}
    async with httpx.AsyncClient(timeout=60) as client:
        asked = [(name, index) for index in range(8) for name in MODELS]
        responses = await asyncio.gather(
            *(
                client.post(f"{detecting.url}/models/{name}?threshold=0.2", content=FILES[index % 4])
                for name, index in asked
            )
        )
    for (name, index), response in zip(asked, responses, strict=True):
        assert response.status_code == 200, response.text
        same(response.json(), expected[name][index % 4])


# ---- clients


def test_the_client_of_huggingface_finds_objects(detecting: Service, wanted: Wanted, tmp_path: Path) -> None:
    client = InferenceClient(model=f"{detecting.url}/models/objects")
    file = tmp_path / "photo.jpg"
    file.write_bytes(JPEG)
    for image in (JPEG, str(file)):
        for parameters in ({}, {"threshold": 0.1}):
            found = client.object_detection(image, **parameters)
            expected = wanted("objects", IMAGES[0], **parameters)
            assert [(item.label, vars(item.box)) for item in found] == [
                (item["label"], item["box"]) for item in expected
            ]
            assert [item.score for item in found] == pytest.approx([item["score"] for item in expected], abs=1e-4)


@pytest.mark.parametrize("name", ["classes", "segments"])
def test_the_client_of_huggingface_finds_segments(detecting: Service, wanted: Wanted, name: str) -> None:
    client = InferenceClient(model=f"{detecting.url}/models/{name}")
    for parameters in ({}, {"subtask": "semantic"}, {"threshold": 0.3, "mask_threshold": 0.3}):
        found = client.image_segmentation(JPEG, **parameters)
        expected = wanted(name, IMAGES[0], **parameters)
        assert [item.label for item in found] == [item["label"] for item in expected]
        for item, own in zip(found, expected, strict=True):
            assert isinstance(item.mask, Image.Image)
            assert item.mask.size == (60, 45)
            assert item.score == pytest.approx(own["score"], abs=1e-4)


@pytest.mark.parametrize("name", ["classes", "segments"])
def test_scores_are_numbers_for_the_client_of_javascript(detecting: Service, name: str) -> None:
    for body in ({"inputs": IMAGES[0]}, {"inputs": IMAGES[0], "parameters": {"subtask": "semantic"}}):
        found = post(detecting, name, JAVASCRIPT, json=body)
        assert found
        for item in found:
            assert item.keys() == {"score", "label", "mask"}
            assert isinstance(item["score"], float)
            assert isinstance(item["mask"], str)


def infer(service: Service, name: str, files: list[bytes], parameters: dict[str, Any]) -> Any:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{service.grpc_port}")
    inputs = []
    texts = [json.dumps(parameters).encode()] * len(files)
    for tensor, values in (("image", files), ("parameters_json", texts)):
        array = np.array(values, dtype=np.object_).reshape(-1, 1)
        inputs.append(tritonclient.grpc.InferInput(tensor, list(array.shape), "BYTES"))
        inputs[-1].set_data_from_numpy(array)
    try:
        return client.infer(name, inputs)
    finally:
        client.close()


def test_the_client_of_triton_gets_boxes(detecting: Service, wanted: Wanted) -> None:
    result = infer(detecting, "objects", FILES[:3], MORE)
    expected = [wanted("objects", image, **MORE) for image in IMAGES[:3]]
    longest = max(map(len, expected))
    box, score, count = (result.as_numpy(name) for name in ("box", "score", "count"))
    assert (box.dtype, box.shape, score.shape) == (np.int32, (3, longest, 4), (3, longest))
    assert count.ravel().tolist() == [len(own) for own in expected]
    for row, own in enumerate(expected):
        assert box[row, : len(own)].tolist() == [list(item["box"].values()) for item in own]
        assert not box[row, len(own) :].any()


def test_the_client_of_triton_gets_masks(detecting: Service, wanted: Wanted) -> None:
    result = infer(detecting, "classes", FILES[:2], {})
    masks, labels, count = (result.as_numpy(name) for name in ("mask", "label", "count"))
    for row, size in enumerate([(60, 45), (40, 90)]):
        expected = wanted("classes", IMAGES[row])
        assert count[row, 0] == len(expected)
        assert [label.decode() for label in labels[row, : len(expected)]] == [item["label"] for item in expected]
        assert all(Image.open(io.BytesIO(mask)).size == size for mask in masks[row, : len(expected)])


def test_the_client_of_triton_is_told_what_is_wrong(detecting: Service) -> None:
    for name, files, parameters, words in (
        ("objects", [JPEG, b"nothing"], {}, "the bytes are no image"),
        ("objects", [JPEG], {"threshold": "x"}, "'threshold' must be a number"),
        ("classes", [JPEG], {"subtask": "panoptic"}, "it can do: semantic"),
        ("classes", [JPEG], {"nix": 1}, "unknown parameter 'nix'"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            infer(detecting, name, files, parameters)
        assert words in caught.value.message()
        assert "Traceback" not in caught.value.message()


# ---- what callers get wrong

BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("objects", {"json": {"inputs": None}}, 400, "not null"),
    ("objects", {"json": {"inputs": []}}, 400, "empty list"),
    ("objects", {"json": {"inputs": 5}}, 400, "number 5"),
    ("objects", {"json": {"inputs": [IMAGES[0], 5]}}, 400, "inputs[1]"),
    ("objects", {"json": {"inputs": "/etc/hostname"}}, 400, "names of files are not opened"),
    ("objects", {"json": {"inputs": base64_of(b"no image")}}, 400, "no image"),
    ("objects", {"json": {"inputs": [IMAGES[0], base64_of(JPEG[:-300])]}}, 400, "cut short"),
    ("objects", {"json": {"inputs": base64_of(media.png_header(20_000, 20_000))}}, 400, "max_image_pixels"),
    ("objects", {"json": {"inputs": IMAGES[0], "parameters": {"threshold": "x"}}}, 400, "must be a number"),
    ("objects", {"json": {"inputs": IMAGES[0], "parameters": {"nix": 1}}}, 400, "unknown parameter 'nix'"),
    ("objects", {"content": b"GIF89a nothing"}, 400, "image"),
    ("objects", {"content": b""}, 400, "empty"),
    ("objects", {"content": JPEG, "query": "?threshold=high"}, 400, "must be a number"),
    ("classes", {"content": JPEG, "query": "?subtask=panoptic"}, 400, "it can do: semantic"),
    ("classes", {"content": JPEG, "query": "?subtask=all"}, 400, "panoptic, instance, semantic"),
    ("segments", {"content": JPEG, "query": "?mask_threshold=[]"}, 400, "must be a number"),
]


@pytest.mark.parametrize(("name", "body", "status", "words"), BAD, ids=[f"{case[0]}: {case[3]}" for case in BAD])
def test_mistakes_are_told_and_harm_nobody(
    detecting: Service, name: str, body: dict[str, Any], status: int, words: str
) -> None:
    given = {key: value for key, value in body.items() if key != "query"}
    url = f"{detecting.url}/models/{name}"
    response = httpx.post(url + body.get("query", ""), timeout=60, **given)
    assert response.status_code == status, response.text
    assert words in response.json()["error"]
    assert "Traceback" not in response.text
    assert httpx.post(url, content=JPEG, timeout=60).status_code == 200

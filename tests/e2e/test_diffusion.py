"""text-to-image on the real server: Hugging Face payloads, clients, image formats, Triton's own endpoints."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diffusers
import httpx
import numpy as np
import pytest
import torch
import tritonclient.grpc
from huggingface_hub import InferenceClient
from huggingface_hub.errors import BadRequestError
from PIL import Image
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.models.diffusion import SIDE

pytestmark = pytest.mark.e2e

PROMPT = "the old man and the sea"
FAST = {"num_inference_steps": 3, "seed": 5}
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28"}


@pytest.fixture(scope="module", autouse=True)
def loaded(load: Load, tiny: Callable[[str], Path]) -> None:
    load(("painter", tiny("stable_diffusion"), "text-to-image"), ("flows", tiny("stable_diffusion_3"), "text-to-image"))


@pytest.fixture(scope="module")
def pipelines(tiny: Callable[[str], Path]) -> dict[str, Any]:
    names = {"painter": "stable_diffusion", "flows": "stable_diffusion_3"}
    found = {
        name: diffusers.AutoPipelineForText2Image.from_pretrained(str(tiny(family))) for name, family in names.items()
    }
    for pipeline in found.values():
        pipeline.set_progress_bar_config(disable=True)
    return found


def alone(pipeline: Any, prompt: str, seed: int, **asked: Any) -> np.ndarray[Any, Any]:
    image = pipeline(prompt, generator=torch.Generator().manual_seed(seed), **asked).images[0]
    return np.asarray(image).astype(int)


def pixels(content: bytes | str) -> np.ndarray[Any, Any]:
    file = base64.b64decode(content) if isinstance(content, str) else content
    return np.asarray(Image.open(io.BytesIO(file))).astype(int)


def post(served: Service, model: str, body: object, **headers: str) -> httpx.Response:
    response = httpx.post(f"{served.url}/models/{model}", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("model", ["painter", "flows"])
def test_an_image_is_the_pipelines(served: Service, pipelines: dict[str, Any], model: str) -> None:
    asked = {"num_inference_steps": 3, "height": SIDE, "width": 2 * SIDE, "negative_prompt": "a table"}
    found = post(served, model, {"inputs": PROMPT, "parameters": {**asked, "seed": 5}})
    assert found.headers["content-type"] == "image/png"
    # Another number of threads may round a sum otherwise, by which a pixel can be one step off.
    np.testing.assert_allclose(pixels(found.content), alone(pipelines[model], PROMPT, 5, **asked), atol=1)


def test_clients_get_an_image(served: Service, pipelines: dict[str, Any]) -> None:
    client = InferenceClient(model=f"{served.url}/models/painter")
    asked = {"negative_prompt": "a table", "height": 16, "width": 24, "num_inference_steps": 2, "guidance_scale": 3.0}
    image = client.text_to_image(PROMPT, **asked, scheduler="EulerDiscreteScheduler", seed=9)  # type: ignore[arg-type]
    pipeline = pipelines["painter"]
    own = pipeline.scheduler
    try:
        pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(own.config)
        np.testing.assert_allclose(np.asarray(image).astype(int), alone(pipeline, PROMPT, 9, **asked), atol=1)
    finally:
        pipeline.scheduler = own
    with pytest.raises(BadRequestError, match="'width' must be a multiple of 4 for this model, not 30"):
        client.text_to_image(PROMPT, width=30)
    found = post(served, "painter", {"inputs": PROMPT, "parameters": FAST}, **JAVASCRIPT)
    assert found.headers["content-type"] == "image/png"  # anything but JSON is a Blob to it


@pytest.mark.parametrize(
    ("accept", "media_type", "name"),
    [
        ("*/*", "image/png", "PNG"),
        ("image/png", "image/png", "PNG"),
        ("image/jpeg", "image/jpeg", "JPEG"),
        ("image/avif,image/webp,*/*;q=0.8", "image/webp", "WEBP"),
        ("image/tiff", "image/tiff", "TIFF"),
    ],
)
def test_the_image_comes_in_the_accepted_format(served: Service, accept: str, media_type: str, name: str) -> None:
    found = post(served, "painter", {"inputs": PROMPT, "parameters": FAST}, accept=accept)
    assert found.headers["content-type"] == media_type
    image = Image.open(io.BytesIO(found.content))
    assert (image.format, image.size) == (name, (SIDE, SIDE))


def test_json_and_lists_are_base64(served: Service) -> None:
    as_file = post(served, "painter", {"inputs": PROMPT, "parameters": FAST})
    as_json = post(served, "painter", {"inputs": PROMPT, "parameters": FAST}, accept="application/json")
    assert base64.b64decode(as_json.json()) == as_file.content
    several = post(served, "painter", {"inputs": [PROMPT] * 6, "parameters": {**FAST, "num_images_per_prompt": 2}})
    rows = several.json()
    assert [len(row) for row in rows] == [2] * 6
    for row in rows:
        np.testing.assert_allclose(pixels(row[0]), pixels(as_file.content), atol=1)
    errors = httpx.post(f"{served.url}/models/painter", json={"inputs": 5}, headers={"accept": "image/png"})
    assert (errors.status_code, errors.headers["content-type"]) == (400, "application/json")


def test_a_seed_gives_the_same_image_whoever_else_asks(served: Service, pipelines: dict[str, Any]) -> None:
    prompts = [PROMPT, "a red bird", "a city"]
    wanted = [alone(pipelines["painter"], prompt, 5, num_inference_steps=3) for prompt in prompts]

    def ask(prompt: str, **more: Any) -> np.ndarray[Any, Any]:
        return pixels(post(served, "painter", {"inputs": prompt, "parameters": {**FAST, **more}}).content)

    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(ask, "other", seed=seed, scheduler="ddim") for seed in range(4)]
        found = list(pool.map(ask, prompts * 3))
        images = [other.result() for other in others]
    for image, same in zip(found, wanted * 3, strict=True):
        np.testing.assert_allclose(image, same, atol=1)
    assert len({image.tobytes() for image in images}) == 4


def test_tritonclient_gets_png_files(served: Service) -> None:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    prompt = tritonclient.grpc.InferInput("prompt", [2, 1], "BYTES")
    prompt.set_data_from_numpy(np.array([[PROMPT.encode()], [b"a red bird"]], dtype=np.object_))
    parameters = tritonclient.grpc.InferInput("parameters_json", [2, 1], "BYTES")
    given = json.dumps({**FAST, "num_images_per_prompt": 2, "height": 8}).encode()
    parameters.set_data_from_numpy(np.array([[given], [given]], dtype=np.object_))
    result = client.infer("painter", [prompt, parameters])
    client.close()
    assert result.as_numpy("count").tolist() == [[2], [2]]
    images = result.as_numpy("image")
    assert images.shape == (2, 2)
    assert all(pixels(image).shape == (8, SIDE, 3) for image in images.ravel())

"""Generated models of text-to-image, against diffusers' own pipelines on the same weights."""

from __future__ import annotations

import base64
import functools
import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from tests.asked import Asked, RefusedError
from tests.models.diffusion import SIDE

from hf_runtime.error import InvalidInput
from hf_runtime.scheduler import replacement

FAMILIES = ["stable_diffusion", "stable_diffusion_3"]
PROMPTS = ["a red bird", "the old man and the sea", "", "x" * 300, "a big city by night, 🙂"]
FAST = {"num_inference_steps": 3}


@pytest.fixture(scope="module")
def served(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Asked]:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda name: Asked("text-to-image", tiny(name), output))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Callable[[str], Any]:
    @functools.cache
    def load(name: str) -> Any:
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(str(tiny(name)))
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return load


def pixels(image: Any) -> np.ndarray[Any, Any]:
    """Of an image in base64, or of Pillow's."""
    if isinstance(image, str):
        image = Image.open(io.BytesIO(base64.b64decode(image)))
        assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image).astype(int)


def alone(pipeline: Any, prompt: str, seed: int, **asked: Any) -> np.ndarray[Any, Any]:
    """What the pipeline makes of one prompt with a generator of its own."""
    return pixels(pipeline(prompt, generator=torch.Generator().manual_seed(seed), **asked).images[0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"negative_prompt": "a table"},
        {"guidance_scale": 1.5},
        {"height": SIDE, "width": 2 * SIDE},
        {"height": 8, "width": 24, "num_inference_steps": 1},
    ],
    ids=str,
)
def test_an_image_is_the_pipelines(served: Any, reference: Any, family: str, asked: dict[str, Any]) -> None:
    asked = {**FAST, **asked}
    for prompt in PROMPTS[::2]:
        found = pixels(served(family)(prompt, seed=7, **asked))
        assert found.shape == (asked.get("height", SIDE), asked.get("width", SIDE), 3)
        np.testing.assert_array_equal(found, alone(reference(family), prompt, 7, **asked))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pipelines_defaults_are_the_models(served: Any, reference: Any, family: str) -> None:
    np.testing.assert_array_equal(pixels(served(family)(PROMPTS[0], seed=1)), alone(reference(family), PROMPTS[0], 1))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("more", [{}, {"negative_prompt": "a table", "height": 16, "width": 24}], ids=str)
def test_an_image_is_the_same_beside_others(served: Any, reference: Any, family: str, more: dict[str, Any]) -> None:
    asked = {**FAST, **more}
    found = served(family)(PROMPTS, seed=3, num_images_per_prompt=2, **asked)
    assert [len(images) for images in found] == [2] * len(PROMPTS)
    for prompt, images in zip(PROMPTS, found, strict=True):
        for copy, image in enumerate(images):
            # Sums of a batch may be rounded otherwise, by which a pixel can be one step off.
            np.testing.assert_allclose(pixels(image), alone(reference(family), prompt, 3 + copy, **asked), atol=1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("given", "size"), [({"height": 16}, (16, SIDE)), ({"width": 64}, (SIDE, 64))], ids=str)
def test_a_side_that_is_not_given_is_the_models(
    served: Any, reference: Any, family: str, given: dict[str, int], size: tuple[int, int]
) -> None:
    found = pixels(served(family)(PROMPTS[0], seed=1, **FAST, **given))
    wanted = alone(reference(family), PROMPTS[0], 1, **FAST, height=size[0], width=size[1])
    np.testing.assert_array_equal(found, wanted)


def test_a_model_without_a_size_of_its_own_needs_both_sides(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = served("stable_diffusion").model.maker
    monkeypatch.setattr(maker, "pipeline", SimpleNamespace(transformer=None))
    with pytest.raises(ValueError, match="give both height and width, or neither"):
        maker._made([("x", 1)], {"height": 16})


@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_seed_and_each_parameter_matter(served: Any, family: str) -> None:
    model = served(family)
    asked = [{}, {"seed": 2}, {"num_inference_steps": 4}, {"guidance_scale": 2.0}, {"negative_prompt": "a big sea"}]
    images = [model(PROMPTS[0], **{**FAST, "seed": 1, **more}) for more in asked]
    images.append(model(PROMPTS[1], **FAST, seed=1))
    assert len(set(images)) == len(images)
    assert model(PROMPTS[0], **FAST, seed=1) == images[0]


def test_without_a_seed_every_image_is_another(served: Any) -> None:
    images = served("stable_diffusion")([PROMPTS[0]] * 3, num_images_per_prompt=2, **FAST)
    assert len({image for row in images for image in row}) == 6


def test_rows_are_denoised_together_up_to_the_operators_number(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served("stable_diffusion")
    sizes = []
    pipeline = model.model.maker.pipeline
    forward = pipeline.unet.forward

    def counted(sample: torch.Tensor, *rest: Any, **more: Any) -> Any:
        sizes.append(len(sample) // 2)  # each image with and without guidance
        return forward(sample, *rest, **more)

    monkeypatch.setattr(pipeline.unet, "forward", counted)
    model(PROMPTS[:3], num_images_per_prompt=2, seed=1, num_inference_steps=1)
    assert sizes == [4, 2]


# ---- schedulers


@pytest.mark.parametrize(
    ("name", "class_name", "more"),
    [
        ("EulerDiscreteScheduler", "EulerDiscreteScheduler", {}),
        ("euler", "EulerDiscreteScheduler", {}),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}),
        ("DDIM", "DDIMScheduler", {}),
        ("DPM++ 2M Karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        ("dpmpp_2m_sde", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        ("unipc", "UniPCMultistepScheduler", {}),
        ("HeunDiscreteScheduler", "HeunDiscreteScheduler", {}),
    ],
)
def test_a_scheduler_is_taken_by_its_class_or_its_method(
    served: Any, reference: Any, name: str, class_name: str, more: dict[str, Any]
) -> None:
    pipeline = reference("stable_diffusion")
    own = pipeline.scheduler
    before = served("stable_diffusion")(PROMPTS[0], seed=5, **FAST)
    try:
        pipeline.scheduler = getattr(diffusers, class_name).from_config(own.config, **more)
        wanted = [alone(pipeline, prompt, 5, **FAST) for prompt in PROMPTS[:2]]
    finally:
        pipeline.scheduler = own
    found = [pixels(served("stable_diffusion")(prompt, seed=5, scheduler=name, **FAST)) for prompt in PROMPTS[:2]]
    np.testing.assert_array_equal(found, wanted)
    for image, both in zip(
        wanted, served("stable_diffusion")(PROMPTS[:2], seed=5, scheduler=name, **FAST), strict=True
    ):
        np.testing.assert_allclose(pixels(both), image, atol=1)
    assert served("stable_diffusion")(PROMPTS[0], seed=5, **FAST) == before, "others keep the model's own scheduler"


@pytest.mark.parametrize("steps", [1, 3])
def test_every_scheduler_that_is_offered_works(served: Any, steps: int) -> None:
    model = served("stable_diffusion")
    message = model.refusal(PROMPTS[0], scheduler="nonsense")
    names = message.split("(")[1].split(")")[0].split(", ")
    assert len(names) > 10
    refused = {}
    for name in names:
        try:
            model(PROMPTS[0], seed=1, num_inference_steps=steps, scheduler=name)
        except RefusedError as error:
            refused[name] = str(error)
    assert all("model failed" not in told for told in refused.values()), refused


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("stable_diffusion", "nonsense"),
        ("stable_diffusion", ""),
        ("stable_diffusion", "DPMSolverSDEScheduler"),  # needs a package that is not there
        ("stable_diffusion", "StableDiffusionPipeline"),
        ("stable_diffusion", "ddim karras"),
        ("stable_diffusion_3", "ddim"),
    ],
)
def test_what_is_no_scheduler_of_the_model_is_refused_with_those_that_are(served: Any, family: str, name: str) -> None:
    message = served(family).refusal(PROMPTS[0], scheduler=name)
    assert message.startswith("parameter 'scheduler' must be one that goes with this model (")
    assert type(served(family).model.maker.pipeline.scheduler).__name__ in message
    assert message.endswith(f"not {name!r}")


def test_a_scheduler_whose_configuration_does_not_go_with_the_models_is_refused() -> None:
    own = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2")

    class Picky(diffusers.EulerDiscreteScheduler):  # type: ignore[misc]
        @classmethod
        def from_config(cls, *_: Any, **__: Any) -> Any:
            raise ValueError("it cannot be")

    class Own:
        compatibles = (Picky,)
        config = own.config

    with pytest.raises(InvalidInput, match="the scheduler 'picky' does not go with this model: it cannot be"):
        replacement(Own(), "picky")


# ---- what cannot be


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"height": 4099},
            "'height' must be between 1 and 2048, not 4099 (the limit is max_image_side in config.pbtxt)",
        ),
        ({"width": 30}, "'width' must be a multiple of 4 for this model, not 30"),
        ({"num_inference_steps": 201}, "'num_inference_steps' must be between 1 and 200, not 201"),
        ({"num_images_per_prompt": 9}, "'num_images_per_prompt' must be between 1 and 8, not 9"),
        ({"seed": 2**63}, "'seed' must be between 0 and"),
        ({"guidance_scale": float("inf")}, "'guidance_scale' must be between 0 and 1000, not inf"),
        ({"guidance_scale": float("nan")}, "'guidance_scale' must be between 0 and 1000, not nan"),
        ({"true_cfg_scale": 2.0}, "'true_cfg_scale' is nothing to a StableDiffusionPipeline; leave it out"),
        ({"num_inference_steps": 60, "scheduler": "lcm"}, "parameter 'scheduler' must be one that"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(served: Any, parameters: dict[str, Any], words: str) -> None:
    assert words in served("stable_diffusion").refusal(PROMPTS[0], **parameters)


def test_patches_count_for_the_sides(served: Any) -> None:
    assert "multiple of 8 for this model, not 12" in served("stable_diffusion_3").refusal("x", height=12)


def test_what_the_pipeline_refuses_is_the_callers_fault(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("`height` is wrong")

    model = served("stable_diffusion")
    monkeypatch.setattr(type(model.model.maker.pipeline), "check_inputs", refuse)
    assert model.refusal("x") == "'height' is wrong"


def test_a_request_that_fails_leaves_the_scheduler_as_it_was(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served("stable_diffusion")
    own = model.model.maker.pipeline.scheduler
    with monkeypatch.context() as patch:
        patch.setattr(model.model.maker, "_made", lambda *_: 1 / 0)
        with pytest.raises(RefusedError, match="ZeroDivisionError"):
            model("x", scheduler="euler")
    assert model.model.maker.pipeline.scheduler is own


# ---- what the models' files say


def test_an_image_that_the_safety_checker_objects_to_is_black_and_says_so(served: Any) -> None:
    found = served("stable_diffusion_checked")(PROMPTS[:2], seed=1, **FAST)
    for image in found:
        assert not pixels(image).any()
        opened = Image.open(io.BytesIO(base64.b64decode(image)))
        assert opened.info["Comment"] == "black because the model's safety checker objected to the image"
    clean = Image.open(io.BytesIO(base64.b64decode(served("stable_diffusion")("x", seed=1, **FAST))))
    assert "Comment" not in clean.info


@pytest.mark.parametrize("mixed", [[], ["vae/diffusion_pytorch_model.fp16.safetensors"]], ids=["all", "mixed"])
def test_a_model_that_has_only_a_variant_is_loaded(
    mixed: list[str], tiny: Callable[[str], Path], reference: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "halved"
    reference("stable_diffusion").save_pretrained(folder, variant="fp16")
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").is_file()
    for name in mixed:  # which were saved without a variant's name
        (folder / name).rename(folder / name.replace(".fp16", ""))
    model = Asked("text-to-image", folder, tmp_path / "repository")
    found = pixels(model(PROMPTS[0], seed=2, **FAST))
    np.testing.assert_array_equal(found, alone(reference("stable_diffusion"), PROMPTS[0], 2, **FAST))


def test_nothing_is_drawn_into_the_log_and_no_torchvision_is_needed(
    served: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        served("stable_diffusion")("x" * 500, seed=1, **FAST)
    assert capfd.readouterr() == ("", "")
    assert "torchvision" not in sys.modules


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("F16", torch.float16), ("BF16", torch.bfloat16), ("F32", torch.float32), (None, torch.float16)],
)
def test_on_a_gpu_the_checkpoints_number_format_is_kept(
    tmp_path: Path, encoders: Any, stored: str | None, dtype: torch.dtype
) -> None:
    from dataclasses import replace

    from hf_runtime.diffusion import _dtype

    if stored is not None:
        header = json.dumps({"__metadata__": {}, "w": {"dtype": stored, "shape": [0], "data_offsets": [0, 0]}}).encode()
        (tmp_path / "transformer").mkdir()
        path = tmp_path / "transformer/diffusion_pytorch_model.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header)
    settings = encoders.settings(tmp_path)
    assert _dtype(replace(settings, device="cuda:0"), str(tmp_path)) is dtype
    assert _dtype(settings, str(tmp_path)) is torch.float32
    assert _dtype(replace(settings, dtype="bf16"), str(tmp_path)) is torch.bfloat16

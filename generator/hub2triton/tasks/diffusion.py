"""Images made of texts: text-to-image."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.media import MediaAnswer, base64_of
from hub2triton.tasks.parameter import ParameterSpec, merged, snake_case
from hub2triton.tasks.payload import Payload, PayloadError
from hub2triton.tasks.reading import items
from hub2triton.tasks.spec import Answer, Call, Json, Library, Need, Profile, Row, Setting, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

PNG = "image/png"

SIDES = (
    ParameterSpec("height", int, "Pixels; default as the model was trained.", minimum=1),
    ParameterSpec("width", int, "Pixels; default as the model was trained.", minimum=1),
)
PARAMETERS = (
    ParameterSpec("negative_prompt", str, "What the image should not show."),
    *SIDES,
    ParameterSpec(
        "num_inference_steps",
        int,
        "Steps of denoising: more take longer and may look better; default the pipeline's.",
        minimum=1,
    ),
    ParameterSpec("guidance_scale", float, "How closely to follow the prompt; default the pipeline's.", minimum=0),
    ParameterSpec("guidance_rescale", float, "Against overexposure under a high guidance_scale.", minimum=0),
    ParameterSpec("true_cfg_scale", float, "As guidance_scale, for models such as Flux that distilled it.", minimum=0),
    ParameterSpec("scheduler", str, "A scheduler that goes with the model: a class of diffusers, or euler, ddim, …."),
    ParameterSpec("seed", int, "Makes an image come again; default another one each time.", minimum=0),
    ParameterSpec("num_images_per_prompt", int, "Images of each prompt; default 1.", minimum=1),
)
TARGET_SIZE = ParameterSpec("target_size", dict, 'The sides in one, as in {"width": 768, "height": 512}.')

PROMPT = {"prompt": schema.TEXT}

WITHOUT_MEANING = ("output_type", "return_dict")
"""Arguments of diffusers' pipelines that say nothing of the image."""


def encode(payload: Payload) -> Call:
    """A prompt or a list of them, each by itself or as {"prompt": …}; parameters may stand beside a single one."""
    payload = _with_inputs_parameters(payload)
    prompts, single = items(payload, partial(_prompt, payload))
    parameters = merged(payload, (*PARAMETERS, TARGET_SIZE))
    size = parameters.pop("target_size", {})
    parameters = {**merged(Payload({}, size, {}, payload.limits), SIDES), **parameters}
    rows: list[Row] = [{"prompt": prompt} for prompt in prompts]
    several = parameters.get("num_images_per_prompt", 1) > 1
    return Call(rows, parameters, partial(decode, single=single, several=several))


def decode(answers: Sequence[Answer], profile: Profile, *, single: bool, several: bool) -> Json:  # noqa: ARG001
    """The image as a file, or in base64 for who asks for JSON; a list in base64 where there are several."""
    if single and not several:
        image = bytes(answers[0]["image"][0])
        return MediaAnswer(image, PNG, base64_of(image))
    found = [[base64_of(image) for image in answer["image"]] for answer in answers]
    if single:
        return found[0]
    return found if several else [images[0] for images in found]


def _prompt(payload: Payload, value: Any, where: str) -> str:
    if isinstance(value, dict):
        if set(value) != {"prompt"}:
            raise PayloadError(f'{where} must be a prompt, or {{"prompt": …}} alone')
        return payload.text(value["prompt"], f"{where}.prompt")
    return payload.text(value, where)


def _with_inputs_parameters(payload: Payload) -> Payload:
    """The payload with what stands beside the prompt of a single input among its parameters, which win."""
    parameters = dict(payload.parameters)
    inputs = payload.inputs
    if isinstance(inputs, dict) and "prompt" in inputs:
        parameters = {**{key: value for key, value in inputs.items() if key != "prompt"}, **parameters}
        inputs = inputs["prompt"]
    kept = {key: value for key, value in parameters.items() if snake_case(key) not in WITHOUT_MEANING}
    return replace(payload, inputs=inputs, parameters=kept)


TEXT_TO_IMAGE = TaskSpec(
    name="text-to-image",
    summary="Makes images of texts.",
    variants={
        Library.DIFFUSERS: Variant(
            "text_to_image.py.jinja",
            (TensorSpec("image", DataType.BYTES, (-1,), "PNG files, as many as num_images_per_prompt says"), COUNT),
            ("pillow>=11",),
        )
    },
    library=Library.DIFFUSERS,
    architectures=(
        "StableDiffusionPipeline",
        "StableDiffusionXLPipeline",
        "StableDiffusion3Pipeline",
        "FluxPipeline",
        "LatentConsistencyModelPipeline",
        "PixArt*Pipeline",
        "SanaPipeline",
        "QwenImagePipeline",
    ),
    needs=(Need(("*/*.safetensors", "*/*.bin"), "the folders of its pipeline hold no PyTorch weights"),),
    inputs=(TensorSpec("prompt", DataType.BYTES, (1,), "one UTF-8 text per row, which says what to show"),),
    parameters=PARAMETERS,
    encode=encode,
    schema=schema.Schema(
        schema.either(
            schema.items(schema.either(schema.TEXT, schema.record(PROMPT, closed=True))), schema.record(PROMPT)
        ),
        schema.either(schema.FILE, schema.array(schema.one_or_list(schema.FILE))),
        schema.parameters((TARGET_SIZE,)),
        response_media=("image/*",),
    ),
    root_forms=(("prompt",),),
    example={"inputs": "Astronaut riding a horse", "parameters": {"num_inference_steps": 20, "seed": 42}},
    # Denoising keeps the device busy with one image: more rows hardly gain time, and take memory.
    max_batch_size=4,
    settings=(
        Setting("max_inference_steps", "200", "The most num_inference_steps that a request may ask for."),
        Setting("max_image_side", "2048", "The largest height and width that a request may ask for, in pixels."),
        Setting("max_images_per_prompt", "8", "The most num_images_per_prompt that a request may ask for."),
        Setting("images_at_once", "4", "Images that are denoised together; each takes memory for itself."),
    ),
)

SPECS = (TEXT_TO_IMAGE,)

"""A pipeline of diffusers that makes images of texts: several of them together, each as if it were alone."""

from __future__ import annotations

import inspect
import io
import json
import math
import secrets
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import torch
from diffusers import AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from PIL.PngImagePlugin import PngInfo
from transformers.utils import logging as transformers_logging

from . import torch_device
from .error import InvalidInput
from .image import encode
from .scheduler import replacement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from .settings import Settings

MAX_SIDE, MAX_STEPS, MAX_COPIES, AT_ONCE = 2048, 200, 8, 4
"""The limits where config.pbtxt has none."""

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "guidance_scale": (0, 1000),
    "true_cfg_scale": (0, 1000),
    "guidance_rescale": (0, 1),
}
"""The smallest and the largest value of a parameter."""

SIDES = ("height", "width")

OWN = ("scheduler", "seed", "num_images_per_prompt")
"""Parameters that are dealt with here; the others are the pipeline's own."""

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}
"""Number formats by their names in safetensors."""


class DiffusionOptions(TypedDict, total=False):
    """The parameters of a request for images; where one is not given, the pipeline's own default holds.

    Attributes:
        negative_prompt: What the images should not show.
        height: In pixels.
        width: In pixels.
        scheduler: The method of denoising: a class of diffusers, or its common name.
        seed: Of the first image; each further one of a prompt has the next number. It makes an image come again,
            whatever else is asked at the same time.
    """

    negative_prompt: str
    height: int
    width: int
    num_inference_steps: int
    guidance_scale: float
    guidance_rescale: float
    true_cfg_scale: float
    scheduler: str
    seed: int
    num_images_per_prompt: int


class ImageMaker:
    """A loaded pipeline, of any kind that AutoPipelineForText2Image knows."""

    def __init__(self, settings: Settings) -> None:
        torch_device.use_threads(settings)
        for library in (diffusers_logging, transformers_logging):
            library.set_verbosity_error()  # type: ignore[no-untyped-call,unused-ignore]
            library.disable_progress_bar()  # type: ignore[no-untyped-call,unused-ignore]
        warnings.filterwarnings("ignore", module="diffusers")
        folder = settings.weights()
        own_code = {"trust_remote_code": True} if settings.trust_remote_code else {}
        self.pipeline: Any = AutoPipelineForText2Image.from_pretrained(
            folder, torch_dtype=_dtype(settings, folder), variant=_variant(folder), use_safetensors=True, **own_code
        ).to(settings.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.step = _step(self.pipeline)
        self.max_side = settings.positive("max_image_side", MAX_SIDE)
        self.max_steps = settings.positive("max_inference_steps", MAX_STEPS)
        self.max_copies = settings.positive("max_images_per_prompt", MAX_COPIES)
        self.at_once = settings.positive("images_at_once", AT_ONCE)

    def images(self, prompts: Sequence[str], **options: Unpack[DiffusionOptions]) -> list[list[bytes]]:
        """The images of each prompt, as PNG.

        An image is the one that the pipeline makes of the prompt alone, with a generator of its seed on the CPU. Where
        the model's safety checker objects to it, it is black, as from the pipeline, and a text in the PNG says so.

        Raises:
            InvalidInput: A parameter that cannot be, or that this pipeline does not take.
        """
        self._check(options)
        copies, seed = options.get("num_images_per_prompt", 1), options.get("seed")
        wanted = [(prompt, _seed(seed, copy)) for prompt in prompts for copy in range(copies)]
        with self._scheduled(options.get("scheduler")):
            made = [
                image
                for start in range(0, len(wanted), self.at_once)
                for image in self._made(wanted[start : start + self.at_once], options)
            ]
        return [made[start : start + copies] for start in range(0, len(made), copies)]

    def _made(self, wanted: Sequence[tuple[str, int]], options: DiffusionOptions) -> list[bytes]:
        """The images of prompts with their seeds, in one run."""
        asked: dict[str, Any] = {name: value for name, value in options.items() if name not in OWN}
        if len(asked.keys() & set(SIDES)) == 1:  # with which some pipelines ignore both
            asked = {**self._default_sides(), **asked}
        if "negative_prompt" in asked:  # one for each, as not all pipelines repeat it
            asked["negative_prompt"] = [asked["negative_prompt"]] * len(wanted)
        # On the CPU, so that a seed gives the same image on every device.
        generators = [torch.Generator().manual_seed(seed) for _, seed in wanted]
        try:
            found = self.pipeline([prompt for prompt, _ in wanted], generator=generators, **asked)
        except ValueError as error:  # pipelines and schedulers check what they are asked for
            raise InvalidInput(str(error).replace("`", "'")) from None
        flagged = getattr(found, "nsfw_content_detected", None) or [False] * len(wanted)
        return [
            _black(image) if objectionable else encode(image)
            for image, objectionable in zip(found.images, flagged, strict=True)
        ]

    def _default_sides(self) -> dict[str, int]:
        """Height and width that the model was trained for."""
        denoiser = getattr(self.pipeline, "unet", None) or getattr(self.pipeline, "transformer", None)
        config: Any = getattr(denoiser, "config", None)
        latents = getattr(self.pipeline, "default_sample_size", None) or getattr(config, "sample_size", None)
        if not latents:
            raise InvalidInput("this model names no size of its own; give both height and width, or neither")
        sides = (latents, latents) if isinstance(latents, int) else latents
        return {name: side * self.pipeline.vae_scale_factor for name, side in zip(SIDES, sides, strict=True)}

    @contextmanager
    def _scheduled(self, name: str | None) -> Iterator[None]:
        """Denoises by another method for a while."""
        own = self.pipeline.scheduler
        try:
            if name is not None:
                self.pipeline.scheduler = replacement(own, name)
            yield
        finally:
            self.pipeline.scheduler = own

    def _check(self, options: DiffusionOptions) -> None:
        taken = inspect.signature(type(self.pipeline).__call__).parameters
        most = {
            "height": (self.max_side, "max_image_side"),
            "width": (self.max_side, "max_image_side"),
            "num_inference_steps": (self.max_steps, "max_inference_steps"),
            "num_images_per_prompt": (self.max_copies, "max_images_per_prompt"),
        }
        for name, value in options.items():
            if name not in taken and name not in OWN:
                raise InvalidInput(f"parameter {name!r} is nothing to a {type(self.pipeline).__name__}; leave it out")
            if name in most and not 1 <= value <= most[name][0]:  # type: ignore[operator]
                limit, setting = most[name]
                raise InvalidInput(
                    f"parameter {name!r} must be between 1 and {limit}, not {value} (the limit is {setting} in "
                    "config.pbtxt)"
                )
            if name in SIDES and value % self.step:  # type: ignore[operator]
                raise InvalidInput(f"parameter {name!r} must be a multiple of {self.step} for this model, not {value}")
            low, high = RANGES.get(name, (-math.inf, math.inf))
            if name in RANGES and not low <= value <= high:  # type: ignore[operator]
                raise InvalidInput(f"parameter {name!r} must be between {low:g} and {high:g}, not {value}")


def _step(pipeline: Any) -> int:
    """What the sides of an image must be multiples of: a whole number of latents, and of patches of them."""
    latent = getattr(pipeline, "vae_scale_factor", 8)
    patch = getattr(pipeline, "patch_size", None) or 1
    processor = getattr(pipeline, "image_processor", None)
    own = processor.config.vae_scale_factor if processor is not None else 1
    return math.lcm(latent * patch, own)


def _variant(folder: str) -> str | None:
    """The variant, such as fp16, of models that were saved as nothing else; generate-repo leaves no others."""
    weights = Path(folder).glob("*/*.safetensors")
    # name.safetensors, name.fp16.safetensors, name.fp16-00001-of-00002.safetensors
    return min((words[1].split("-")[0] for path in weights if len(words := path.name.split(".")) > 2), default=None)  # noqa: PLR2004


def _dtype(settings: Settings, folder: str) -> torch.dtype:
    """The number format to compute in; `auto` on a GPU is that of the checkpoint's largest part, the denoiser."""
    found = torch_device.dtype(settings)
    if isinstance(found, torch.dtype):
        return found
    weights = sorted(path for part in ("unet", "transformer") for path in Path(folder, part).glob("*.safetensors"))
    if not weights:
        return torch.float16
    with weights[0].open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    stored = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
    return next((dtype for name, dtype in DTYPES.items() if name in stored), torch.float32)


def _seed(seed: int | None, copy: int) -> int:
    return secrets.randbits(32) if seed is None else seed + copy


def _black(image: Image) -> bytes:
    """The image that a safety checker has blackened, as a PNG that says why."""
    note = PngInfo()
    note.add_text("Comment", "black because the model's safety checker objected to the image")
    stream = io.BytesIO()
    image.save(stream, format="PNG", pnginfo=note)
    return stream.getvalue()

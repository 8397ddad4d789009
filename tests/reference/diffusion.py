"""What diffusers' own pipelines make of prompts: each image alone, with a generator of its seed."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image


def text_to_image(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """An image in base64, as the container gives it to who asks for JSON; a list of them for a list of prompts."""
    asked = dict(parameters)
    seed = asked.pop("seed")
    pipeline = AutoPipelineForText2Image.from_pretrained(str(folder))
    pipeline.set_progress_bar_config(disable=True)

    def made(prompt: str) -> str:
        stream = io.BytesIO()
        image = pipeline(prompt, generator=torch.Generator().manual_seed(seed), **asked).images[0]
        image.save(stream, format="PNG")
        return base64.b64encode(stream.getvalue()).decode()

    return made(inputs) if isinstance(inputs, str) else [made(prompt) for prompt in inputs]


REFERENCES = {"text-to-image": text_to_image}

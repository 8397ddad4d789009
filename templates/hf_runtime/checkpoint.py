"""A torch model out of a folder of files, ready to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import torch_device

if TYPE_CHECKING:
    from .settings import Settings

TRAINING_ONLY = ("masked_spec_embed",)
"""Weights that only training uses, and that published models of speech often lack."""


def load(settings: Settings, auto_class: Any, *, headless: bool = False) -> Any:
    """The model of a folder, in evaluation mode, on the instance's device.

    Args:
        settings: Where from, onto which device, in which dtype.
        auto_class: Such as transformers' AutoModelForSequenceClassification.
        headless: Whether the class has no head: parts that are missing then are not asked for.

    Raises:
        ValueError: The files hold no trained head of this class.
    """
    torch_device.use_threads(settings)
    model, loaded = auto_class.from_pretrained(
        settings.weights(),
        trust_remote_code=settings.trust_remote_code,
        dtype=torch_device.dtype(settings),
        use_safetensors=True,  # what is pickled was converted when this repository was made
        output_loading_info=True,
    )
    missing = sorted(name for name in loaded["missing_keys"] if not name.endswith(TRAINING_ONLY))
    if missing and not headless:  # transformers would fill them with random numbers
        raise ValueError(
            f"the model has no weights for {', '.join(missing[:3])}: it was not trained for {settings.task}; "
            "choose another task or model"
        )
    return model.to(settings.device).eval()

"""Schedulers of diffusion pipelines by the names that people give them: the class's, or that of the method."""

from __future__ import annotations

import inspect
import re
from typing import Any

from .error import InvalidInput

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIM", {}),
    "ddpm": ("DDPM", {}),
    "deis": ("DEISMultistep", {}),
    "dpm": ("DPMSolverMultistep", {}),
    "dpm2": ("KDPM2Discrete", {}),
    "dpm2a": ("KDPM2AncestralDiscrete", {}),
    "dpmpp2m": ("DPMSolverMultistep", {}),
    "dpmpp2msde": ("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp2s": ("DPMSolverSinglestep", {}),
    "dpmppsde": ("DPMSolverSDE", {}),
    "dpmsolver": ("DPMSolverMultistep", {}),
    "euler": ("EulerDiscrete", {}),
    "eulera": ("EulerAncestralDiscrete", {}),
    "eulerancestral": ("EulerAncestralDiscrete", {}),
    "flowmatcheuler": ("FlowMatchEulerDiscrete", {}),
    "heun": ("HeunDiscrete", {}),
    "lcm": ("LCM", {}),
    "lms": ("LMSDiscrete", {}),
    "pndm": ("PNDM", {}),
    "unipc": ("UniPCMultistep", {}),
}
"""What people call a method, and the class of diffusers for it, with what its configuration needs besides."""

SIGMAS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas"}
"""Words behind a method's name, and the setting that they stand for; not every class has it."""


def replacement(own: Any, name: str) -> Any:
    """A scheduler of another method for the same model.

    Args:
        own: The one that the model came with; it stays as it is.
        name: A class of diffusers such as EulerDiscreteScheduler, or a method such as `euler` or `DPM++ 2M Karras`.

    Raises:
        InvalidInput: No such scheduler goes with this model.
    """
    classes = {_plain(found.__name__): found for found in own.compatibles if not _missing(found)}
    method, sigmas = _parts(_plain(name))
    class_name, more = METHODS.get(method, (method, {}))
    found = classes.get(_plain(class_name))
    if found is None or (sigmas and sigmas not in inspect.signature(found).parameters):
        known = ", ".join(sorted(each.__name__ for each in classes.values()))
        raise InvalidInput(f"parameter 'scheduler' must be one that goes with this model ({known}), not {name!r}")
    try:
        return found.from_config(own.config, **more, **({sigmas: True} if sigmas else {}))
    except ValueError as error:  # what the model's configuration says does not go with this class
        raise InvalidInput(f"the scheduler {name!r} does not go with this model: {error}") from None


def _plain(name: str) -> str:
    """`Euler a`, `euler_a` and `euler-a` are one name, and so are a class's with and without its last word."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p")).removesuffix("scheduler")


def _parts(method: str) -> tuple[str, str]:
    """The method, and the setting that a word behind its name stands for."""
    word = next((word for word in SIGMAS if method.endswith(word)), "")
    return method.removesuffix(word), SIGMAS.get(word, "")


def _missing(found: Any) -> bool:
    """Whether a class only stands in for one that needs a package which is not installed."""
    return hasattr(found, "_backends")

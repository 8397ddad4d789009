"""The text files of a model's folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hub2triton.generate import config, template

if TYPE_CHECKING:
    from hub2triton.generate.plan import Plan

VERSION = "1"
WEIGHTS = f"{VERSION}/weights"

ANOTHER_FILE = re.compile(r"(-r|-c|--requirement|--constraint)[ =]*+(?![a-z]+://|/)(.+)|(\./.*)")
"""A line of a requirements file that names a file beside it."""


def render(plan: Plan) -> dict[str, bytes]:
    """All files of a plan but the weights and the manifest, by path.

    Raises:
        ValueError: A template gave something that is no valid config.pbtxt or no Python.
    """
    model = template.render(f"models/{plan.variant.template}", model_id=plan.source.model_id)
    compile(model, "model.py", "exec")
    own = plan.spec.onnx.requirements if plan.graph is not None and plan.spec.onnx is not None else ()
    requirements = (
        *(own or plan.library.requirements),
        *plan.variant.requirements,
        *map(_moved, plan.requirements),
    )
    files = {
        "config.pbtxt": config.render(plan).encode(),
        "requirements.txt": template.render("requirements.txt.jinja", requirements=requirements).encode(),
        f"{VERSION}/model.py": model.encode(),
    }
    return files | {f"{VERSION}/{path}": content for path, content in template.runtime_files(model).items()}


def _moved(line: str) -> str:
    """A line of the model's own requirements.txt, for a file two folders above it."""
    found = ANOTHER_FILE.fullmatch(line)
    if found is None:
        return line
    option, named, path = found.groups()
    return f"{option} {WEIGHTS}/{named}" if option else f"./{WEIGHTS}/{path.removeprefix('./')}"

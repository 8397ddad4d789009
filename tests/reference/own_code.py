"""What the code that a model brings along answers, called by nobody but itself."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock


def custom(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """The handler's answer to a body, or the legacy pipeline's to its inputs."""
    name = next(name for name in ("handler", "pipeline") if (folder / f"{name}.py").is_file())
    spec = importlib.util.spec_from_file_location(f"reference_{folder.name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [str(folder), *sys.path]):
        spec.loader.exec_module(module)
        if name == "pipeline":
            return module.PreTrainedPipeline(str(folder))(inputs)
        return module.EndpointHandler(str(folder))({"inputs": inputs, "parameters": dict(parameters)})


REFERENCES = {"custom": custom}

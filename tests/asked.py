"""A generated model in this process, asked as the shim asks Triton."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tests import generated
from triton_python_backend_utils import InferenceRequest, TritonError

from hub2triton.generate import generation
from hub2triton.generate.options import Options
from hub2triton.shim import tensors, transport
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tasks.spec import Profile
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from pathlib import Path

    from hub2triton.tasks.spec import Call


class RefusedError(Exception):
    """The model's error in place of an answer."""


class Asked:
    """The model of a folder, generated for a task and initialized.

    Attributes:
        rows: The most rows of a request, so that long lists make several.
        folder: The generated one.
    """

    def __init__(self, task: str, folder: Path, output: Path, *, rows: int = 5, **options: Any) -> None:
        """Generates and loads it.

        Args:
            task: What it is to do.
            folder: The model's own files.
            output: The model repository.
            rows: As above.
            options: More of generate-repo's.
        """
        self.rows = rows
        name = f"{task}-{folder.name}"
        plan = generation.plan(Options(model=str(folder), output=output, task=task, name=name, **options))
        generation.write(plan, force=False)
        self.folder = output / plan.name
        self.spec, self.outputs = plan.spec, plan.variant.outputs
        self.model = generated.initialized(self.folder)
        torch.set_num_threads(1)  # for models as small as these, a team of threads only costs

    def call(self, inputs: Any, profile: Profile = Profile.TOOLKIT, **parameters: Any) -> Call:
        """What a payload asks for."""
        body = {"inputs": inputs, "parameters": parameters}
        return self.spec.encode(Payload.from_json(body, Limits(), profile=profile))

    def requests(self, call: Call) -> list[InferenceRequest]:
        """The requests to Triton."""
        names = tuple(tensor.name for tensor in self.outputs)
        parameters = json.dumps(dict(call.parameters)).encode()
        found = []
        for arrays in tensors.chunks(call.rows, (*self.spec.inputs, PARAMETERS), self.rows):
            column = np.full((len(next(iter(arrays.values()))), 1), parameters, dtype=np.object_)
            found.append(InferenceRequest(arrays | {PARAMETERS.name: column}, names))
        return found

    def __call__(self, inputs: Any, profile: Profile = Profile.TOOLKIT, **parameters: Any) -> Any:
        """The JSON of the answer.

        Raises:
            RefusedError: The model gives none.
        """
        call = self.call(inputs, profile, **parameters)
        rows = []
        for response in self.model.execute(self.requests(call)):
            if response.error is not None:
                raise RefusedError(response.error.message)
            rows += tensors.answers(response.arrays, self.outputs)
        return json.loads(transport.response(call.decode(rows, profile), "application/json").body)

    def refusal(self, inputs: Any, **parameters: Any) -> str:
        """What the model says is wrong, and that it is the caller's fault."""
        (response,) = self.model.execute(self.requests(self.call(inputs, **parameters)))
        assert response.refusal.code == TritonError.INVALID_ARG, response.refusal.message
        return str(response.refusal.message)

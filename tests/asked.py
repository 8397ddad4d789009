"""A generated model in this process, asked as the shim asks Triton."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
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


class Asked:
    """The model of a folder, generated for a task and initialized."""

    def __init__(self, task: str, folder: Path, output: Path) -> None:
        plan = generation.plan(Options(model=str(folder), output=output, task=task, name=f"{task}-{folder.name}"))
        generation.write(plan, force=False)
        self.spec, self.outputs = plan.spec, plan.variant.outputs
        self.model = generated.initialized(output / plan.name)

    def call(self, inputs: Any, **parameters: Any) -> Call:
        """What a payload asks for."""
        return self.spec.encode(Payload.from_json({"inputs": inputs, "parameters": parameters}, Limits()))

    def requests(self, call: Call) -> list[InferenceRequest]:
        """The requests to Triton; of at most five rows each, so that long lists make several."""
        names = tuple(tensor.name for tensor in self.outputs)
        parameters = json.dumps(dict(call.parameters)).encode()
        found = []
        for arrays in tensors.chunks(call.rows, (*self.spec.inputs, PARAMETERS), 5):
            column = np.full((len(next(iter(arrays.values()))), 1), parameters, dtype=np.object_)
            found.append(InferenceRequest(arrays | {PARAMETERS.name: column}, names))
        return found

    def __call__(self, inputs: Any, profile: Profile = Profile.TOOLKIT, **parameters: Any) -> Any:
        """The JSON of the answer."""
        call = self.call(inputs, **parameters)
        responses = self.model.execute(self.requests(call))
        rows = [row for response in responses for row in tensors.answers(response.arrays, self.outputs)]
        return json.loads(transport.json_response(call.decode(rows, profile)).body)

    def refusal(self, inputs: Any, **parameters: Any) -> str:
        """What the model says is wrong, and that it is the caller's fault."""
        (response,) = self.model.execute(self.requests(self.call(inputs, **parameters)))
        assert response.refusal.code == TritonError.INVALID_ARG, response.refusal.message
        return str(response.refusal.message)

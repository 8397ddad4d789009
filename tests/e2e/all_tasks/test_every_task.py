"""A model of every task in one tritonserver, all at the same time."""

from __future__ import annotations

import json

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc
from tests.e2e.service import Service

from hub2triton import tasks
from hub2triton.shim import tensors
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tasks.spec import Media, TaskSpec
from hub2triton.tensor import PARAMETERS

pytestmark = pytest.mark.e2e

FILES = ("text-to-image",)
"""Tasks whose answer is a file, unless JSON is asked for."""

REFUSING = [spec for spec in tasks.SPECS if spec.media is not Media.ANY]
"""Tasks to which not every body means something."""


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_the_example_of_a_task(all_tasks: Service, spec: TaskSpec) -> None:
    response = httpx.post(f"{all_tasks.url}/models/{spec.name}", content=spec.example_json().encode(), timeout=120)
    assert response.status_code == 200, response.text
    assert response.content
    assert (response.headers["content-type"] == "application/json") is (spec.name not in FILES)


@pytest.mark.parametrize("spec", REFUSING, ids=lambda spec: spec.name)
def test_a_payload_of_no_task(all_tasks: Service, spec: TaskSpec) -> None:
    for body in ({"inputs": 5}, {"inputs": None}, {"inputs": []}, {"inputs": {"nonsense": 1}}, {}):
        response = httpx.post(f"{all_tasks.url}/models/{spec.name}", json=body, timeout=120)
        assert response.status_code == 400, f"{body}: {response.status_code} {response.text}"
        assert isinstance(response.json()["error"], str)


def test_all_at_once_fit_into_a_small_machine(all_tasks: Service) -> None:
    info = httpx.get(f"{all_tasks.url}/info").json()
    ready = {model["name"] for model in info["models"] if model["state"] == "ready"}
    assert set(tasks.names()) <= ready
    family = [psutil.Process(all_tasks.process.pid), *psutil.Process(all_tasks.process.pid).children(recursive=True)]
    gib = sum(process.memory_full_info().pss for process in family) / 2**30
    print(f"{len(ready)} models in one tritonserver hold {gib:.1f} GiB")
    assert gib < 12


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_the_typed_tensors_of_a_task(all_tasks: Service, spec: TaskSpec) -> None:
    """By tritonclient alone: the inputs and outputs that the README's table tells."""
    call = spec.encode(Payload.from_json(dict(spec.example), Limits(), spec.root_forms))
    arrays = next(tensors.chunks(call.rows, spec.inputs, spec.max_batch_size))
    parameters = json.dumps(dict(call.parameters)).encode()
    arrays[PARAMETERS.name] = np.full((len(arrays[spec.inputs[0].name]), 1), parameters, dtype=np.object_)
    inputs = []
    for name, array in arrays.items():
        inputs.append(tritonclient.grpc.InferInput(name, list(array.shape), "BYTES"))
        inputs[-1].set_data_from_numpy(array)
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{all_tasks.grpc_port}")
    result = client.infer(spec.name, inputs)
    for tensor in spec.variants[spec.library].outputs:
        found = result.as_numpy(tensor.name)
        assert found.dtype == {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32}[tensor.datatype.value]
        assert found.ndim == 1 + len(tensor.dims), tensor.name
        assert len(found) == len(arrays[spec.inputs[0].name])
    client.close()

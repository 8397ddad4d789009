"""The schemas of bodies against what tasks really take and answer; a new task is tested here without a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import numpy as np
import pytest

from hf_runtime.tensor import NUMPY_TYPES
from hub2triton import tasks
from hub2triton.shim import transport
from hub2triton.tasks import schema
from hub2triton.tasks.parameter import ParameterSpec
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from hub2triton.tasks.schema import JsonSchema
    from hub2triton.tasks.spec import Answer, Call, Endpoint, TaskSpec
    from hub2triton.tensor import TensorSpec

ENDPOINTS = [(spec, endpoint) for spec in tasks.SPECS for endpoint in spec.endpoints]
MEANT = {"finish_reason": b"length", "details_json": b"{}"}
"""Texts that answers must hold to be understood."""

WRONG = {
    "details": "yes",
    "top_k": [1],
    "seed": -1,
    "do_sample": "no",
    "threshold": "high",
    "stop": 5,
    "nonsense": 1,
}
"""Parameters, each of which every task refuses: those that it has for their values, and the others for their names."""

each_task = pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
each_endpoint = pytest.mark.parametrize(
    ("spec", "endpoint"), ENDPOINTS, ids=[f"{spec.name} {endpoint.path}" for spec, endpoint in ENDPOINTS]
)


def fits(form: JsonSchema, body: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(form).is_valid(body)


def call_of(spec: TaskSpec, body: dict[str, Any]) -> Call:
    return spec.encode(Payload.from_json(json.loads(json.dumps(body)), Limits(), spec.root_forms))


def refused(spec: TaskSpec, body: dict[str, Any]) -> str | None:
    """Why a body is refused; None where it is taken."""
    try:
        call_of(spec, body)
    except PayloadError as error:
        return str(error)
    return None


def call_at(endpoint: Endpoint, body: dict[str, Any]) -> Call | None:
    try:
        return endpoint.encode(Payload(None, {}, json.loads(json.dumps(body)), Limits(), model="m"))
    except PayloadError:
        return None


def answer_of(outputs: tuple[TensorSpec, ...], length: int) -> Answer:
    """An answer of the declared types, its lists of a length."""
    answer = {}
    for tensor in outputs:
        shape = [length if dim == -1 else dim for dim in tensor.dims]
        kind = NUMPY_TYPES[tensor.datatype.config]
        answer[tensor.name] = np.full(shape, MEANT.get(tensor.name, b"x") if kind is np.object_ else 1, dtype=kind)
    return answer


def told(spec: TaskSpec, call: Call) -> list[Any]:
    """The JSON of made-up answers to a call, of every variant and with lists of several lengths."""
    found = []
    for variant in spec.variants.values():
        for length in (1, 2):
            answers = [answer_of(variant.outputs, length) for _ in call.rows]
            response = transport.response(call.decode(answers, Profile.TOOLKIT), "application/json")
            found.append(json.loads(bytes(response.body)))
    return found


def variations(spec: TaskSpec) -> list[dict[str, Any]]:
    """The example, and bodies like it that a task takes or not: of other inputs, forms and parameters.

    Their texts are base64 too, so that they are files to the tasks that take files.
    """
    example = dict(spec.example)
    inputs, parameters = example["inputs"], dict(example.get("parameters", {}))
    beside = {"parameters": parameters}
    others = [
        [inputs],
        [inputs, inputs],
        [[inputs]],
        None,
        5,
        [],
        [5],
        {},
        {"nonsense": 1},
        True,
        "text",
        ["some", "text"],
    ]
    bodies = [example, *({"inputs": other, **beside} for other in others), {"nonsense": 1}, {}]
    if isinstance(inputs, dict):
        bodies += [{**inputs, **beside}, *({"inputs": {key: inputs[key]}, **beside} for key in inputs)]
        bodies += [{"inputs": {**inputs, key: 5}, **beside} for key in inputs]
    for key, value in WRONG.items():
        bodies.append({"inputs": inputs, "parameters": {**parameters, key: value}})
    for name, form in schema.parameters(spec.parameters).items():
        for value in (*form.get("enum", ()), True, 1, 0.5, "x", ["x"], {}, None):
            bodies.append({"inputs": inputs, "parameters": {**parameters, name: value}})
    return bodies


@each_task
def test_the_schemas_are_schemas(spec: TaskSpec) -> None:
    found = schema.exchange(spec)
    for form in (found.request, found.response):
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **form})


@each_task
def test_the_request_schema_holds_what_is_taken_and_not_what_is_refused(spec: TaskSpec) -> None:
    request = schema.exchange(spec).request
    for body in variations(spec):
        refusal = refused(spec, body)
        if refusal is None or not between(spec, body):
            assert fits(request, body) == (refusal is None), f"{json.dumps(body)[:300]}: {refusal}"


def between(spec: TaskSpec, body: dict[str, Any]) -> bool:
    """Whether a body is refused for what one part of it means to another, which no schema tells."""
    for more in ({"is_split_into_words": True}, {"is_split_into_words": False}, {"question": "what?"}):
        (name,) = more
        if name in schema.exchange(spec).request["properties"]["parameters"]["properties"]:
            other = {**body, "parameters": {**body.get("parameters", {}), **more}}
            if refused(spec, other) is None:
                return True
    return False


@each_task
def test_the_response_schema_holds_the_answers(spec: TaskSpec) -> None:
    response = schema.exchange(spec).response
    asked = 0
    for body in variations(spec):
        for answer in told(spec, call_of(spec, body)) if refused(spec, body) is None else ():
            asked += 1
            assert fits(response, answer), f"{json.dumps(body)[:300]}: {json.dumps(answer)[:300]}"
    assert asked


@each_task
def test_keys_at_the_root_have_the_schema_that_they_have_in_the_inputs(spec: TaskSpec) -> None:
    properties = schema.exchange(spec).request["properties"]
    assert all(properties[key] for form in spec.root_forms for key in form)


@each_endpoint
def test_the_schemas_of_an_endpoint(spec: TaskSpec, endpoint: Endpoint) -> None:
    form, example = endpoint.schema, dict(endpoint.schema.example)
    named = {**example, "model": "m"}
    wrong = [{key: value for key, value in example.items() if key != left_out} for left_out in example]
    wrong += [{**example, key: 5} for key in example]
    for body in (example, named, *wrong):
        assert fits(form.request, body) == (call_at(endpoint, body) is not None), body
    call = call_at(endpoint, named)
    assert call is not None
    for answer in told(spec, call):
        assert fits(form.response, answer), answer


def test_the_tasks_of_a_path_have_one_schema() -> None:
    by_path = {endpoint.path: endpoint.schema for _, endpoint in ENDPOINTS}
    assert all(endpoint.schema == by_path[endpoint.path] for _, endpoint in ENDPOINTS)


@pytest.mark.parametrize(
    ("spec", "taken", "refused"),
    [
        (ParameterSpec("p", bool, ""), [True, None], [1, "true"]),
        (ParameterSpec("p", bool, "", choices=("never",)), [False, "never"], ["other", 0]),
        (ParameterSpec("p", int, "", minimum=1), [1, None], [0, 1.5, True, "1"]),
        (ParameterSpec("p", float, ""), [1, 0.5], ["0.5", False]),
        (ParameterSpec("p", str, "", choices=("a", "b")), ["a", None], ["c", 1]),
        (ParameterSpec("p", list, ""), [["a"], [], "a"], [[1], {}]),
        (ParameterSpec("p", list, "", objects=True), [[{}]], ["a", ["a"]]),
        (ParameterSpec("p", dict, ""), [{}, None], [[], "a"]),
    ],
)
def test_parameters_as_schemas(spec: ParameterSpec, taken: list[Any], refused: list[Any]) -> None:
    form = schema.parameter(spec)
    assert [fits(form, value) for value in taken] == [True] * len(taken)
    assert [fits(form, value) for value in refused] == [False] * len(refused)

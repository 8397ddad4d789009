"""What must hold for every task of the registry; a new one is tested here without a change."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hf_runtime.tensor import NUMPY_TYPES
from hub2triton import tasks
from hub2triton.generate import template
from hub2triton.shim import tensors, transport
from hub2triton.tasks.parameter import TYPE_WORDS, snake_case
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tasks.spec import Profile
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Answer, Call, TaskSpec
    from hub2triton.tensor import TensorSpec

each_task = pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)


def call_of_example(spec: TaskSpec) -> Call:
    return spec.encode(Payload.from_json(dict(spec.example), Limits()))


def made_up_answer(outputs: tuple[TensorSpec, ...]) -> Answer:
    """An answer of the declared types, with lists of two."""
    answer = {}
    for tensor in outputs:
        shape = [2 if dim == -1 else dim for dim in tensor.dims]
        kind = NUMPY_TYPES[tensor.datatype.config]
        answer[tensor.name] = np.full(shape, b"x" if kind is np.object_ else 1, dtype=kind)
    return answer


def test_no_name_or_alias_means_two_tasks() -> None:
    everything = [name for spec in tasks.SPECS for name in (spec.name, *spec.aliases)]
    assert len(everything) == len(set(everything))


def test_names_are_sorted_and_are_the_tasks_own() -> None:
    assert tasks.names() == sorted(spec.name for spec in tasks.SPECS)


def test_what_is_no_task_is_not_found() -> None:
    assert tasks.find("no-such-task") is None


@each_task
def test_a_task_is_found_by_all_its_names(spec: TaskSpec) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", spec.name)
    assert all(tasks.find(name) is spec for name in (spec.name, *spec.aliases))


@each_task
def test_the_example_becomes_rows_of_the_declared_inputs(spec: TaskSpec) -> None:
    call = call_of_example(spec)
    assert call.rows
    for row in call.rows:
        assert set(row) == {tensor.name for tensor in spec.inputs}
        for tensor in spec.inputs:
            assert isinstance(row[tensor.name], list if tensor.ragged else str | bytes)
    assert len(call.rows) <= spec.max_batch_size


@each_task
def test_the_example_becomes_arrays_that_fit_the_declared_dims(spec: TaskSpec) -> None:
    for arrays in tensors.chunks(call_of_example(spec).rows, (*spec.inputs, PARAMETERS), spec.max_batch_size):
        for tensor in spec.inputs:
            array = arrays[tensor.name]
            assert array.ndim == 1 + len(tensor.dims)
            assert all(want in (-1, got) for want, got in zip(tensor.dims, array.shape[1:], strict=True))


@each_task
@pytest.mark.parametrize("profile", Profile)
def test_the_answers_of_every_variant_become_json(spec: TaskSpec, profile: Profile) -> None:
    for variant in spec.variants.values():
        call = call_of_example(spec)
        answers = [made_up_answer(variant.outputs) for _ in call.rows]
        assert transport.response(call.decode(answers, profile), "application/json").body


@each_task
def test_tensors_are_described_and_named_once(spec: TaskSpec) -> None:
    for outputs in (variant.outputs for variant in spec.variants.values()):
        declared = (*spec.inputs, PARAMETERS, *outputs)
        assert len({tensor.name for tensor in declared}) == len(declared)
        for tensor in declared:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", tensor.name)
            assert tensor.description
            assert "\n" not in tensor.description  # it becomes a comment in config.pbtxt


@each_task
def test_every_template_exists(spec: TaskSpec) -> None:
    for variant in spec.variants.values():
        assert (template.folder() / "models" / variant.template).is_file()


@each_task
def test_parameters_have_one_spelling_and_a_type_that_json_has(spec: TaskSpec) -> None:
    names = [name for parameter in spec.parameters for name in (parameter.name, *parameter.aliases)]
    assert len(names) == len(set(names))
    for parameter in spec.parameters:
        assert snake_case(parameter.name) == parameter.name
        assert parameter.type in (*TYPE_WORDS, list)
        assert all(choice == choice.lower() for choice in parameter.choices)
        assert parameter.minimum is None or parameter.type in (int, float)
        assert parameter.description


@each_task
def test_a_task_has_a_summary_of_one_sentence(spec: TaskSpec) -> None:
    assert spec.summary.endswith(".")
    assert "\n" not in spec.summary


def test_a_task_without_a_variant_for_its_own_library_is_refused() -> None:
    spec = tasks.SPECS[0]
    with pytest.raises(ValueError, match=f"{spec.name}: no variant"):
        dataclasses.replace(spec, variants={})

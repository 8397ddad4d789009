"""From a request's body to what the model is asked: one payload, or Vertex AI's list of instances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.media import MediaAnswer
from hub2triton.tasks.payload import Limits, Payload, PayloadError, kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hub2triton.tasks.spec import Answer, Call, Json, Profile, TaskSpec


def call_of(spec: TaskSpec, body: Any, limits: Limits, profile: Profile, query: Mapping[str, Any]) -> Call:
    """What a body asks of a model.

    Args:
        spec: The model's task.
        body: The JSON of the body, or the object that stands for a file (see shim/body.py).
        limits: What its sizes are held against.
        profile: For whom it is answered.
        query: Parameters from the URL; those of the body win.

    Raises:
        PayloadError: It cannot be answered.
    """
    if isinstance(body, dict) and "instances" in body and "inputs" not in body:
        return _call_of_instances(spec, body, limits, profile, query)
    return spec.encode(Payload.from_json(body, limits, spec.root_forms, profile, query))


def _call_of_instances(
    spec: TaskSpec, body: dict[str, Any], limits: Limits, profile: Profile, query: Mapping[str, Any]
) -> Call:
    """Each instance is the inputs of a request of its own; together they are asked as one batch."""
    instances = body.pop("instances")
    if not isinstance(instances, list) or not instances:
        raise PayloadError(f'"instances" must be a list with an item for each prediction, not {kind(instances)}')
    if len(instances) > limits.rows:
        raise PayloadError(f"instances has {len(instances):,} items; the limit is {limits.rows:,}", status=413)
    bodies = ({**body, "inputs": instance} for instance in instances)
    calls = [spec.encode(Payload.from_json(one, limits, (), profile, query)) for one in bodies]
    if any(one.parameters != other.parameters for one, other in pairwise(calls)):
        raise PayloadError("the instances of one request must have the same parameters; send the others by themselves")

    def decode(answers: Sequence[Answer], caller: Profile) -> Json:
        rest = list(answers)
        predictions = []
        for call in calls:
            own, rest = rest[: len(call.rows)], rest[len(call.rows) :]
            found = call.decode(own, caller)
            predictions.append(found.json if isinstance(found, MediaAnswer) else found)
        return {"predictions": predictions}

    return replace(calls[0], rows=[row for call in calls for row in call.rows], decode=decode)

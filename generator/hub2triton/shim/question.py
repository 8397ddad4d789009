"""What a request asks, and of which model: on the routes of payloads, and on those of other protocols."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from hub2triton import tasks
from hub2triton.shim import body
from hub2triton.shim.catalogue import Catalogue, Wanted
from hub2triton.shim.failure import Invalid
from hub2triton.tasks.parameter import from_query
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.request import call_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from hub2triton.shim.model import Model
    from hub2triton.tasks.spec import Call, Json, Profile

Read = TypeVar("Read")

LARGE = 2**20
"""Bytes of a body beyond which it is read beside the event loop, so that other requests do not wait for it."""


async def read(
    request: Request,
    sent: bytes,
    catalogue: Catalogue,
    admit: Callable[[Model], None],
    max_rows: int,
    caller: Profile,
) -> tuple[Model, Call]:
    """The model that a request means, and what it asks of it.

    Args:
        request: Its URL and headers are read; the name of the model, once it is found, is kept in its state.
        sent: Its body.
        catalogue: Knows the models.
        admit: Raises where a model has no room for a further request: then its body is not read in vain.
        max_rows: Items in a list of inputs.
        caller: For whom it is answered.

    Raises:
        Failure: There is no such model, it is not ready, or the body is nothing that it can be asked.
    """
    path = endpoint_path(request)
    root = await _aside(sent, lambda: body.json_object(sent)) if path else {}
    model = await catalogue.ready(_wanted(request, path, root))
    request.state.model = model.name
    admit(model)
    limits = Limits(model.max_text_length, max_rows)

    def call() -> Call:
        return (
            _at_endpoint(model, path, root, limits, caller)
            if path
            else _of_payload(request, sent, model, limits, caller)
        )

    try:
        return model, await _aside(sent, call)
    except PayloadError as error:
        raise Invalid(str(error), status=error.status) from None


def endpoint_path(request: Request) -> str:
    """The path of the other protocol that a request speaks, also below a model's own URL; empty for payloads."""
    path = str(request.scope["path"]).removeprefix(f"/models/{request.path_params.get('name')}")
    return path if path in tasks.endpoints() else ""


async def _aside(sent: bytes, work: Callable[[], Read]) -> Read:
    """What is done with a body, beside the event loop where the body is large."""
    return await asyncio.to_thread(work) if len(sent) > LARGE else work()


def _of_payload(request: Request, sent: bytes, model: Model, limits: Limits, caller: Profile) -> Call:
    assert model.spec is not None  # noqa: S101 (a ready model has one)
    content = body.content(sent, request.headers.get("content-type", ""), model.spec)
    query = from_query(request.query_params.multi_items(), model.spec.parameters)
    return call_of(model.spec, content, limits, caller, query)


def _at_endpoint(model: Model, path: str, root: Mapping[str, Json], limits: Limits, caller: Profile) -> Call:
    endpoint = model.spec and model.spec.endpoint(path)
    assert endpoint is not None  # noqa: S101 (the catalogue has seen to it)
    return endpoint.encode(Payload(None, {}, root, limits, caller, model.name))


def _wanted(request: Request, endpoint: str, root: Mapping[str, Json]) -> Wanted:
    """Which model a request means: the one named in its URL, or of the task named there, or the one named in its body.

    Clients of other protocols put any name into the body, so that one does not have to be there.
    """
    name, task = request.path_params.get("name"), request.path_params.get("task")
    if endpoint:
        told = root.get("model")
        named = name or (told if isinstance(told, str) else None)
        return Wanted(named, name is not None, lambda spec: spec.endpoint(endpoint) is not None, f"answers {endpoint}")
    wanted = tasks.find(task) if task is not None else None
    if name is not None or wanted is None:
        return Wanted(name)
    return Wanted(fits=lambda spec: spec is wanted, what=f"does {wanted.name}")

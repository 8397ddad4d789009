"""What the shim tells of the models behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from hub2triton import __version__
from hub2triton.shim import transport
from hub2triton.shim.failure import Failure, ModelFailed, NotReady
from hub2triton.shim.model import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from hub2triton.shim.model import Model
    from hub2triton.tasks.spec import Json

    Models = Mapping[str, Model]


def health(models: Models, accept: str = "", *, live: bool = True, stopping: str = "") -> Response:
    """200 `Ok` while a model can be asked, or for callers who ask for JSON, the state of each.

    Args:
        models: As Triton tells of them, or last told.
        accept: The request's header.
        live: Whether Triton answers.
        stopping: Why no more requests are taken, if they are not.

    Returns:
        503 with an error and the states while no model can be asked, 500 where none could be loaded.
    """
    ready = live and not stopping and any(model.state is State.READY for model in models.values())
    told: dict[str, Json] = {"live": live, "ready": ready, "models": {m.name: m.state.value for m in models.values()}}
    if ready:
        wants_json = transport.quality(accept, "application/json") > transport.quality(accept, "text/plain")
        return transport.json_response(told) if wants_json else PlainTextResponse("Ok")
    failure: Failure = NotReady(stopping or ("no model is ready yet" if live else "Triton does not answer"))
    if live and not stopping and models and all(model.state is State.FAILED for model in models.values()):
        failure = ModelFailed("no model could be loaded; the server's log says why")
    return transport.error_response(failure, more=told)


def info(models: Models, max_rows: int) -> Response:
    """What is served; the fields of a single model stand at the top, as clients expect."""
    described = [_described(model) for model in models.values()]
    first = described[0] if len(described) == 1 else {}
    limits = {"max_client_batch_size": max_rows, "version": __version__}
    return transport.json_response({**first, **limits, "models": described})


def listed(models: Models) -> Response:
    """What is served, as OpenAI's clients list it."""
    ready = [model.name for model in models.values() if model.state is State.READY]
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "hub2triton"} for name in ready]
    return transport.json_response({"object": "list", "data": data})


def _described(model: Model) -> dict[str, Json]:
    return {
        "name": model.name,
        "state": model.state.value,
        "task": model.spec.name if model.spec else None,
        "model_id": model.model_id,
        "model_sha": model.revision or None,
        "model_dtype": model.dtype or None,
    }

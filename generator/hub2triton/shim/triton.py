"""Triton over gRPC: what it serves, and its answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from hub2triton import model_config, tasks
from hub2triton.shim import tensors
from hub2triton.shim.failure import Died, Failure, Invalid, ModelFailed, NoRoom, NotReady, Overloaded, TimedOut, Unknown
from hub2triton.shim.model import Model, State
from hub2triton.tensor import PARAMETERS, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hub2triton.tasks.spec import Answer, Call

CHUNKS_IN_FLIGHT = 8
"""Requests to Triton that one HTTP request may have under way, so that a long list leaves room for others."""

PATIENCE_S = 5.0
"""How long Triton may take to say what it serves. It does in milliseconds, whatever its models do; one that has stopped
without having ended would say nothing for ever, and the health with it."""

DATATYPES = {datatype.config: datatype for datatype in DataType}
STATES = {"READY": State.READY, "LOADING": State.LOADING, "UNLOADING": State.LOADING}
BETWEEN_LOADS = ("", "unloaded")


class Triton:
    """A connection to one Triton server. Use it in the event loop it was made in."""

    def __init__(self, address: str, shims: int = 1) -> None:
        """Connects when it is first asked something.

        Args:
            address: HOST:PORT.
            shims: How many ask it in the same way, each with its part of a model's queue.
        """
        self.address = address
        self._shims = shims
        # gRPC would otherwise send even local connections through the proxy of the environment.
        # A Triton that was started again is to be found at once, and not in the two minutes that gRPC may wait.
        # With options of our own tritonclient's do not hold, and gRPC takes answers of 4 MiB at most.
        channel = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.max_send_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
            ("grpc.max_receive_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
        ]
        self._client = triton.InferenceServerClient(address, channel_args=channel)
        self._under_way: Counter[str] = Counter()

    async def close(self) -> None:
        """Ends the connection."""
        await self._client.close()

    async def models(self, known: Mapping[str, Model], *, fresh: bool = False) -> dict[str, Model]:
        """All models that Triton was told to serve, by name.

        Args:
            known: What was found before.
            fresh: Whether to read the configuration of a model anew even where it has stayed ready.

        Raises:
            NotReady: Triton does not answer.
        """
        try:
            index = await self._client.get_model_repository_index(client_timeout=PATIENCE_S)
            found = {}
            for entry in index.models:
                before = known.get(entry.name)
                if not entry.state and (before is None or before.spec is None):
                    continue  # in the folder, but nobody has asked Triton to load it
                state = STATES.get(entry.state, State.FAILED)
                if state is State.FAILED and entry.reason in BETWEEN_LOADS:
                    state = State.LOADING
                if state is State.LOADING and before is not None and before.spec is not None:
                    state = State.RECOVERING  # what it is for is only known of one that has been ready
                if state is not State.READY:  # by what it was, it is still found by its Hub id
                    found[entry.name] = replace(before or Model(entry.name, state), state=state, reason=entry.reason)
                elif before is not None and before.state is State.READY and not fresh:
                    found[entry.name] = before
                else:
                    found[entry.name] = await self._configured(entry.name)
        except InferenceServerException as error:
            raise _failure(error) from None
        return found

    def admit(self, model: Model) -> None:
        """Sees to it that a model has room for a further request.

        Raises:
            Overloaded: As many requests are under way as its queue holds.
        """
        # Counted here and not by Triton: with a queue policy of any kind, its batcher sleeps for half a second, again
        # and again, while requests wait (2.51: it misses the end of an execution, and makes no batch ready ahead).
        if self._under_way[model.name] >= model.max_queue_size:
            raise Overloaded("the model has more requests waiting than its queue holds; try again later")

    async def infer(self, model: Model, call: Call, headers: Mapping[str, str] | None = None) -> list[Answer]:
        """Asks a model; the answers are in the order of the call's rows.

        Cancelling this cancels what is under way in Triton.

        Args:
            model: One that is ready.
            call: What it is asked.
            headers: Of each request to Triton, in lower case.

        Raises:
            Overloaded: As many requests are under way as the model's queue holds.
            Failure: As Triton's own error says.
        """
        self.admit(model)
        parameters = json.dumps(dict(call.parameters)).encode()
        order = tensors.longest_first(call.rows)
        rows = [call.rows[place] for place in order]
        batches = list(tensors.chunks(rows, model.inputs, model.max_batch_size))
        if len(batches) == 1:
            found = await self._infer(model, batches[0], parameters, headers)
        else:
            found = await self._infer_each(model, batches, parameters, headers)
        return [answer for _, answer in sorted(zip(order, found, strict=True), key=itemgetter(0))]

    async def _infer_each(
        self, model: Model, batches: Sequence[dict[str, Any]], parameters: bytes, headers: Mapping[str, str] | None
    ) -> list[Answer]:
        room = asyncio.Semaphore(CHUNKS_IN_FLIGHT)

        async def ask(arrays: dict[str, Any]) -> list[Answer]:
            async with room:
                return await self._infer(model, arrays, parameters, headers)

        try:
            async with asyncio.TaskGroup() as group:  # the first failure cancels the rest
                running = [group.create_task(ask(arrays)) for arrays in batches]
        except ExceptionGroup as group_of_failures:
            raise group_of_failures.exceptions[0] from None
        return [answer for task in running for answer in task.result()]

    async def _infer(
        self, model: Model, arrays: dict[str, Any], parameters: bytes, headers: Mapping[str, str] | None
    ) -> list[Answer]:
        rows = len(next(iter(arrays.values())))
        # Always sent: Triton does not merge requests of which some have an optional input and some have not.
        arrays[PARAMETERS.name] = np.full((rows, 1), parameters, dtype=np.object_)
        inputs = []
        for tensor in model.inputs:
            array = arrays[tensor.name]
            inputs.append(triton.InferInput(tensor.name, list(array.shape), tensor.datatype.value))
            inputs[-1].set_data_from_numpy(array)
        self._under_way[model.name] += 1
        try:
            result = await self._client.infer(model.name, inputs, headers=headers)
        except InferenceServerException as error:
            raise _failure(error) from None
        finally:
            self._under_way[model.name] -= 1
        found = {tensor.name: result.as_numpy(tensor.name) for tensor in model.outputs}
        return tensors.answers(found, model.outputs)

    async def _configured(self, name: str) -> Model:
        try:
            config = (await self._client.get_model_config(name, client_timeout=PATIENCE_S)).config
        except InferenceServerException as error:
            if error.status() == str(grpc.StatusCode.NOT_FOUND):  # unloaded since it was listed
                return Model(name, State.LOADING)
            raise
        parameters = model_config.parameters(config)
        spec = tasks.find(parameters.get("task", ""))
        if spec is None:
            known = parameters.get("task") or "no task"
            return Model(name, State.FAILED, f"its config.pbtxt names {known}, which this shim does not know")
        return Model(
            name=name,
            state=State.READY,
            spec=spec,
            model_id=parameters.get("model_id", ""),
            revision=parameters.get("revision", ""),
            dtype=parameters.get("dtype", ""),
            inputs=tuple(_tensor(entry) for entry in config.input),
            outputs=tuple(_tensor(entry) for entry in config.output),
            max_batch_size=config.max_batch_size,
            max_text_length=int(parameters.get("max_text_length", Model.max_text_length)),
            max_queue_size=ceil(int(parameters.get("max_queue_size", Model.max_queue_size)) / self._shims),
        )


def _tensor(entry: Any) -> TensorSpec:
    from tritonclient.grpc import model_config_pb2

    datatype = DATATYPES[model_config_pb2.DataType.Name(entry.data_type)]
    return TensorSpec(entry.name, datatype, tuple(entry.dims), "")


def _failure(error: InferenceServerException) -> Failure:
    """What an error of Triton's gRPC endpoint means to an HTTP caller."""
    message, code = error.message() or str(error), error.status()
    if code == str(grpc.StatusCode.UNAVAILABLE):
        if "queue size" in message:
            return Overloaded("the model has more requests waiting than its queue holds; try again later")
        if "timeout" in message.lower():
            return TimedOut("the request waited in the model's queue for longer than it may")
        return NotReady("Triton does not answer; it is starting or stopping")
    if code == str(grpc.StatusCode.DEADLINE_EXCEEDED):
        return NotReady("Triton does not answer in time")
    if code == str(grpc.StatusCode.NOT_FOUND):
        return NotReady("the model is being loaded")
    if code == str(grpc.StatusCode.INVALID_ARGUMENT):
        return Invalid(message)
    if "Stub process" in message and "not healthy" in message:
        return Died("the model's process has died; it is being started again")
    if "shared memory pool size" in message:
        return NoRoom("the server has too little shared memory left for so large a request; send it in parts, or later")
    if code == str(grpc.StatusCode.UNIMPLEMENTED):
        return Unknown(message)
    return ModelFailed(message)

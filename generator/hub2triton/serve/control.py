"""Triton's repository API: loading and unloading models, and what state they are in."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

import grpc
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

# Triton answers at once whatever a model does; a server that does not is about to be found dead.
_TIMEOUT = 10.0  # seconds
# A parameter of the model's configuration that nobody reads: it makes one load differ from the one before.
_LOADED_AT = "loaded_at_ns"


class LoadError(Exception):
    """A model did not load; the text is Triton's own."""


class ServerGoneError(LoadError):
    """The server has died, or died while a model was being loaded."""


@dataclass(frozen=True)
class IndexEntry:
    """A model as the repository's index has it.

    Attributes:
        state: LOADING, READY, UNLOADING, UNAVAILABLE, or empty for one never loaded.
        reason: Why it is unavailable; "unloaded" where somebody asked for that.
    """

    state: str
    reason: str


class Control:
    """A connection to the repository API over gRPC.

    Its own methods raise `InferenceServerException` where the server does not answer.
    """

    def __init__(self, host: str, port: int) -> None:
        # gRPC would otherwise send even local connections through the proxy of the environment.
        self._client: Any = triton.InferenceServerClient(
            f"{host}:{port}",
            channel_args=[
                ("grpc.enable_http_proxy", 0),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )

    async def live(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(await self._client.is_server_live(client_timeout=_TIMEOUT))
        except InferenceServerException:
            return False

    async def model_ready(self, name: str) -> bool:
        """What Triton says of a model; before 26.01 it says yes for one whose process is dead."""
        return bool(await self._client.is_model_ready(name, client_timeout=_TIMEOUT))

    async def entry(self, name: str) -> IndexEntry:
        """The state of a model's newest version."""
        index = await self._client.get_model_repository_index(client_timeout=_TIMEOUT)
        entries = [IndexEntry(model.state, model.reason) for model in index.models if model.name == name]
        # A version whose unload hangs may stay listed beside the one that serves.
        return next(
            (entry for entry in entries if entry.state == "READY"), entries[-1] if entries else IndexEntry("", "")
        )

    async def load(self, name: str) -> None:
        """Loads a model and waits until it serves, however long that takes.

        Raises:
            LoadError: It does not load.
            ServerGoneError: The server is gone.
        """
        await self._load(name)

    async def replace(self, name: str) -> None:
        """Loads a model that serves once more, beside itself; it answers until the new one does.

        Raises:
            LoadError: The new one does not load; the old one goes on.
            ServerGoneError: The server is gone.
        """
        try:
            found = await self._client.get_model_config(name, as_json=True, client_timeout=_TIMEOUT)
        except InferenceServerException as error:
            raise LoadError(error.message() or str(error)) from error
        # Triton does nothing for a model whose files and configuration are those it has loaded.
        config = found["config"]
        config.setdefault("parameters", {})[_LOADED_AT] = {"string_value": str(time.time_ns())}
        await self._load(name, config=json.dumps(config))

    async def executions(self, name: str) -> int:
        """How many executions of a model have ended, whether well or not."""
        found = await self._client.get_inference_statistics(name, client_timeout=_TIMEOUT)
        return sum(int(version.execution_count) for version in found.model_stats)

    async def unload(self, name: str) -> None:
        """Unloads a model; returns while requests in flight are still answered."""
        await self._client.unload_model(name, client_timeout=_TIMEOUT)

    async def refuse(self, name: str, reason: str) -> None:
        """Has the index tell why a model is unavailable, which it does for none that was unloaded.

        Nothing but a load that fails sets one. It tells of the backend that was not found, so the reason is its name:
        "unable to find backend library for backend 'REASON', …", in 2.51.
        """
        with contextlib.suppress(InferenceServerException):
            await self._client.load_model(name, config=json.dumps({"backend": reason}), client_timeout=_TIMEOUT)

    async def close(self) -> None:
        """Closes the connection; calls in flight fail."""
        await self._client.close()

    async def _load(self, name: str, **more: str) -> None:
        try:
            await self._client.load_model(name, **more)
        except InferenceServerException as error:
            gone = error.status() == str(grpc.StatusCode.UNAVAILABLE)
            raise (ServerGoneError if gone else LoadError)(error.message() or str(error)) from error

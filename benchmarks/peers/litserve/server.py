"""LitServe with its batching: the four verbs of its documentation, and batches of 32."""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]

from benchmarks.peers.model import load, payload


class Api(litserve.LitAPI):  # type: ignore[misc]
    """One model; `task` and `folder` say which."""

    task: str
    folder: str

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Runs in the worker process."""
        self.compute = load(self.task, self.folder)

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe takes an annotation for a schema
        """The text of a body."""
        return str(request["inputs"])

    def predict(self, x: list[str]) -> list[Any]:
        """The answers of a batch."""
        return self.compute(x)

    def encode_response(self, output: Any) -> Any:
        """The body that answers one request."""
        return payload(self.task, [output])


def serve(task: str, folder: str, port: int) -> None:
    """Serves a model until it is stopped."""
    api = Api(max_batch_size=32, batch_timeout=0.01)
    api.task, api.folder = task, folder
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))

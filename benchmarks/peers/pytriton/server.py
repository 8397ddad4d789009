"""pytriton: a decorated function behind Triton's dynamic batcher, in batches of 32."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from pytriton.decorators import batch  # type: ignore[import-untyped]
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor  # type: ignore[import-untyped]
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-untyped]

from benchmarks.peers.model import load
from benchmarks.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUTS: dict[str, tuple[Tensor, Callable[[list[Any]], Any]]] = {
    "sentence-embeddings": (
        Tensor(name="answer", dtype=np.float32, shape=(-1,)),
        lambda answers: np.array(answers, np.float32),
    ),
    "text-classification": (
        Tensor(name="answer", dtype=bytes, shape=(1,)),
        lambda answers: np.char.encode([[answer["label"]] for answer in answers]),
    ),
}


def serve(task: str, folder: str, port: int) -> None:
    """Serves a model until it is stopped."""
    compute = load(task, folder)
    output, array = OUTPUTS[task]

    @batch  # type: ignore[untyped-decorator]
    def infer(text: Any) -> dict[str, Any]:
        return {"answer": array(compute(np.char.decode(text.astype(bytes), "utf-8")[:, 0].tolist()))}

    grpc, metrics = free_ports(2)
    with Triton(
        config=TritonConfig(http_address="127.0.0.1", http_port=port, grpc_port=grpc, metrics_port=metrics)
    ) as triton:
        triton.bind(
            model_name="model",
            infer_func=infer,
            inputs=[Tensor(name="text", dtype=bytes, shape=(1,))],
            outputs=[output],
            config=ModelConfig(max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=1000)),
        )
        triton.serve()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""What the user of generate-repo asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Device(Enum):
    """Where instances run; `kind` is Triton's word for it."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    @property
    def kind(self) -> str:
        """The kind of instance in config.pbtxt."""
        return {Device.AUTO: "KIND_AUTO", Device.CPU: "KIND_CPU", Device.CUDA: "KIND_GPU"}[self]


class DType(Enum):
    """The number format that the model computes in."""

    AUTO = "auto"
    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"


class Weights(Enum):
    """How the model's files get into the repository.

    LINK makes hard links to the Hub's cache, and copies where that cannot be; COPY always copies; HUB leaves
    them out, and the model downloads them when it is loaded.
    """

    LINK = "link"
    COPY = "copy"
    HUB = "hub"


class Exporter(Enum):
    """Where the graph of --onnx comes from.

    AUTO takes a file that the model's repository publishes, where one fits, and else does as TRANSFORMERS; HUB insists
    on such a file.
    """

    AUTO = "auto"
    TRANSFORMERS = "transformers"
    OPTIMUM = "optimum"
    HUB = "hub"


class Tuning(Enum):
    """What the cores of a CPU are spent on: one request at a time on all of them, or many on one each."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


@dataclass(frozen=True)
class Options:
    """The options of one run; None where the user left the choice to us.

    Attributes:
        model: A Hub id, or the path of a local directory.
        output: The model repository, which holds a folder for every model.
        queue_delay_us: Microseconds a request may wait for others to share its batch.
        token: Read from the environment; never shown or written.
        allow_pickle: Whether weights that are there as pickles alone are converted; else such a model is refused.
        onnx: Whether onnxruntime computes the model, from a graph, instead of torch.
        onnx_timeout_s: Seconds that making the graph and comparing it may take.
        optimum_python: The Python of an environment that has optimum's exporter; None for one made here.
    """

    model: str
    output: Path
    task: str | None = None
    revision: str | None = None
    name: str | None = None
    device: Device = Device.AUTO
    dtype: DType = DType.AUTO
    max_batch_size: int | None = None
    instances: int | None = None
    queue_delay_us: int = 0
    weights: Weights = Weights.LINK
    token: str | None = None
    offline: bool = False
    trust_remote_code: bool = False
    allow_pickle: bool = False
    onnx: bool = False
    exporter: Exporter = Exporter.AUTO
    onnx_timeout_s: int = 1800
    optimum_python: Path | None = None
    optimize: Tuning | None = None

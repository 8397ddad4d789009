"""What config.pbtxt says of a model, and what this machine adds to it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .batch import Cut

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Tensor:
    """An input or output as config.pbtxt declares it.

    Attributes:
        datatype: Triton's name, such as TYPE_STRING or TYPE_FP32.
        dims: Without the batch dimension; -1 where the length varies.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """One model instance's settings; every one of them can be changed in config.pbtxt.

    Attributes:
        device: A torch device, such as `cpu` or `cuda:0`, chosen for this instance.
        dtype: `fp32`, `fp16`, `bf16`, or `auto`: fp32 on a CPU, the checkpoint's own on a GPU.
        threads: CPU threads of this instance.
        sub_batch_size: Rows that go through the model at once; a larger batch is cut.
        sub_batch_overhead: Places of padding that take as long as one pass more; decides where it is cut.
        max_text_length: Characters; a longer text is refused instead of being tokenized.
        parameters: All parameters of config.pbtxt as they stand there, those of one task alone included.
    """

    name: str
    task: str
    model_id: str
    revision: str
    device: str
    dtype: str
    threads: int
    sub_batch_size: int
    sub_batch_overhead: int
    max_text_length: int
    trust_remote_code: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    version_dir: Path
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> Settings:
        """Reads the arguments that Triton gives to `initialize`.

        Raises:
            ValueError: A parameter of config.pbtxt has no meaning; the text names it.
        """
        config = json.loads(args["model_config"])
        given = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        groups = config.get("instance_group", [])
        # `count` is for each GPU of a group; on a CPU the list of them is empty.
        instances = sum(group.get("count", 1) * max(1, len(group.get("gpus", []))) for group in groups) or 1
        return cls(
            name=args["model_name"],
            task=given.get("task", ""),
            model_id=given.get("model_id", ""),
            revision=given.get("revision", ""),
            device=_device(given.get("device", "auto"), args),
            dtype=given.get("dtype", "auto"),
            threads=_threads(given.get("threads", "auto"), instances),
            sub_batch_size=_positive("sub_batch_size", given.get("sub_batch_size", "16")),
            sub_batch_overhead=_positive("sub_batch_overhead", given.get("sub_batch_overhead", "60")),
            max_text_length=_positive("max_text_length", given.get("max_text_length", "1000000")),
            trust_remote_code=given.get("trust_remote_code", "false") == "true",
            inputs=tuple(_tensor(entry) for entry in config["input"]),
            outputs=tuple(_tensor(entry) for entry in config["output"]),
            version_dir=Path(args["model_repository"]) / args["model_version"],
            parameters=given,
        )

    @property
    def cut(self) -> Cut:
        """How a batch is cut into passes through the model."""
        return Cut(self.sub_batch_size, self.sub_batch_overhead)

    def positive(self, name: str, default: int) -> int:
        """A parameter of config.pbtxt that is a number.

        Raises:
            ValueError: It is no whole number of at least 1; the text names it.
        """
        return _positive(name, self.parameters.get(name, str(default)))

    def weights(self) -> str:
        """The local folder of the model's files, downloaded first where this repository does not hold them."""
        beside = self.version_dir / "weights"
        if beside.is_dir():
            return str(beside)
        from huggingface_hub import snapshot_download

        manifest = json.loads((self.version_dir.parent / "manifest.json").read_text(encoding="utf-8"))
        return snapshot_download(self.model_id, revision=self.revision or None, allow_patterns=manifest["on_hub"])


def cores() -> int:
    """The CPU cores this process may use: its affinity, cut by the cgroup's quota where there is one."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def _tensor(entry: Mapping[str, object]) -> Tensor:
    dims = entry["dims"]
    assert isinstance(dims, list)  # noqa: S101 (Triton's own JSON)
    return Tensor(str(entry["name"]), str(entry["data_type"]), tuple(int(dim) for dim in dims))


def _device(wanted: str, args: Mapping[str, str]) -> str:
    if wanted == "auto":  # KIND_AUTO has been decided by Triton for this instance
        wanted = "cuda" if args["model_instance_kind"] == "GPU" else "cpu"
    return f"cuda:{args['model_instance_device_id']}" if wanted == "cuda" else wanted


def _threads(wanted: str, instances: int) -> int:
    # Every instance is a process of its own: teams that share cores slow each other down.
    return max(1, cores() // instances) if wanted == "auto" else _positive("threads", wanted)


def _positive(name: str, value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise ValueError(f"parameter {name} in config.pbtxt must be a whole number of at least 1, not {value!r}")
    return int(value)

"""The ONNX files that a model's repository publishes, and the one that fits."""

from __future__ import annotations

import platform
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hub2triton.generate.options import DType

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

FOLDERS = ("onnx", ".")
"""Where they lie; older repositories have them beside config.json."""

NAMES = {
    DType.FP32: ("model",),
    DType.FP16: ("model_fp16",),
    DType.BF16: ("model_bf16",),
    DType.INT8: ("model_int8", "model_quantized"),
}
"""Their usual names by precision, the first choice first."""

FOR_PROCESSORS = (
    ("avx512_vnni", "model_qint8_avx512_vnni"),
    ("avx512f", "model_qint8_avx512"),
    ("avx2", "model_quint8_avx2"),
    ("arm64", "model_qint8_arm64"),
)
"""Further names of INT8, each with what the processor must have for it."""

FLAGS = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)


def find(paths: Collection[str], precision: DType, features: Collection[str]) -> tuple[str, ...]:
    """The paths of a published graph: the graph first, then the files of its weights; none where none is published.

    Args:
        paths: All that the repository has.
        precision: Of the weights.
        features: What the processor has, in Linux's words.
    """
    own = [name for feature, name in FOR_PROCESSORS if precision is DType.INT8 and feature in features]
    for folder in FOLDERS:
        for name in (*own, *NAMES[precision]):
            graph = str(PurePosixPath(folder, f"{name}.onnx"))
            if graph in paths:
                return (graph, *_weights(paths, graph))
    return ()


def processor_features() -> frozenset[str]:
    """What this machine's processor has, as far as Linux tells."""
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    try:
        found = FLAGS.search(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return frozenset({machine, *(found[1].split() if found else ())})


def _weights(paths: Collection[str], graph: str) -> Sequence[str]:
    """Files such as model.onnx_data, model.onnx_data_1 and model.onnx.data, which a graph finds beside it by name."""
    return sorted(path for path in paths if path.startswith((f"{graph}_data", f"{graph}.data")))

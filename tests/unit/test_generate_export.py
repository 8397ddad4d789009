"""The parts of an export: which file fits, how a graph is compared with torch, and how its process is ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hub2triton.generate.export import parity, process, published
from hub2triton.generate.options import DType

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHED = ("config.json", "model.safetensors", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_fp16.onnx")
INT8 = ("onnx/model_quantized.onnx", "onnx/model_int8.onnx", "onnx/model_qint8_avx512_vnni.onnx")


# ---- published files


@pytest.mark.parametrize(
    ("paths", "precision", "features", "wanted"),
    [
        (PUBLISHED, DType.FP32, (), ("onnx/model.onnx", "onnx/model.onnx_data")),
        (PUBLISHED, DType.FP16, (), ("onnx/model_fp16.onnx",)),
        (PUBLISHED, DType.INT8, (), ()),
        (PUBLISHED, DType.BF16, (), ()),
        (("model.onnx", "model.onnx.data"), DType.FP32, (), ("model.onnx", "model.onnx.data")),
        (("model.onnx", *PUBLISHED), DType.FP32, (), ("onnx/model.onnx", "onnx/model.onnx_data")),
        (INT8, DType.INT8, ("avx2", "avx512_vnni"), ("onnx/model_qint8_avx512_vnni.onnx",)),
        (INT8, DType.INT8, ("avx2",), ("onnx/model_int8.onnx",)),
        (("onnx/model_qint8_avx512_vnni.onnx",), DType.INT8, ("avx2",), ()),
        (("openvino/model.onnx", "unet/model.onnx"), DType.FP32, (), ()),
    ],
)
def test_the_published_file_that_fits(
    paths: tuple[str, ...], precision: DType, features: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert published.find(paths, precision, features) == wanted


# ---- shapes

TEXT = {"input_ids": np.arange(18).reshape(2, 9), "attention_mask": np.ones((2, 9), dtype=np.int64)}
IMAGE = {"pixel_values": np.ones((2, 3, 12, 8), dtype=np.float32)}


def shapes(sample: Any, works: Callable[[Any], bool] = lambda _: True) -> list[tuple[int, ...]]:
    """Of the first input, in each batch that is compared."""
    return [next(iter(batch.values())).shape for batch in parity.batches(sample, works)]


def test_batches_vary_in_rows_and_length() -> None:
    assert shapes(TEXT) == [(2, 9), (1, 9), (3, 9), (2, 9), (2, 6)]
    *_, padded, cut = parity.batches(TEXT, lambda _: True)
    assert padded["attention_mask"].tolist() == [[1] * 9, [1] * 6 + [0] * 3]
    assert np.array_equal(padded["input_ids"], TEXT["input_ids"])
    assert np.array_equal(cut["input_ids"], TEXT["input_ids"][:, :6])
    assert cut["attention_mask"].shape == (2, 6)


def test_a_model_that_reads_the_end_is_cut_at_the_beginning() -> None:
    *_, cut = parity.batches(TEXT, lambda batch: bool((batch["input_ids"] == 8).any()))
    assert np.array_equal(cut["input_ids"], TEXT["input_ids"][:, -6:])


def test_each_size_of_an_image_is_cut_by_itself() -> None:
    assert shapes(IMAGE)[3:] == [(2, 2, 12, 8), (2, 3, 12, 5), (2, 3, 8, 8)]


def test_shapes_that_torch_refuses_are_not_compared() -> None:
    assert shapes(IMAGE, lambda batch: batch["pixel_values"].shape[1:] == (3, 12, 8)) == [
        (2, 3, 12, 8),
        (1, 3, 12, 8),
        (3, 3, 12, 8),
    ]


def test_a_single_row_is_doubled_and_turned_round_where_that_works() -> None:
    one = {"input_ids": np.array([[1, 2, 3]]), "scale": np.array([0.5])}
    assert parity.doubled(one, lambda _: True)["input_ids"].tolist() == [[1, 2, 3], [3, 2, 1]]
    assert parity.doubled(one, lambda _: False)["input_ids"].tolist() == [[1, 2, 3], [1, 2, 3]]
    assert parity.doubled(one, lambda _: True)["scale"].tolist() == [0.5, 0.5]
    assert parity.doubled(TEXT, lambda _: True) is TEXT


# ---- distances

WANTED = {"logits": np.array([[3.0, 4.0]], dtype=np.float32)}


def compared(found: Any, wanted: Any = WANTED, precision: str = "fp32") -> parity.Comparison:
    comparison = parity.Comparison(0.0, {}, [])
    comparison.add(parity.LIMITS[precision], {"x": np.zeros((2, 7))}, found, wanted, ["logits"])
    return comparison


def test_the_worst_of_all_shapes_is_kept() -> None:
    comparison = compared({"logits": np.array([[3.0, 4.001]])})
    comparison.add(parity.LIMITS["fp32"], {"x": np.zeros((1, 5))}, WANTED, WANTED, ["logits"])
    assert comparison.largest == pytest.approx(0.001)
    assert comparison.outputs == {"logits": pytest.approx(0.0002)}
    assert comparison.shapes == ["x 2x7", "x 1x5"]


@pytest.mark.parametrize(
    ("found", "precision", "words"),
    [
        ([[3.0, 4.01]], "fp32", "its output logits differs from torch's: the relative error is 0.002, and 0.001 is"),
        ([[3.0, float("nan")]], "fp32", "relative error is nan"),
        ([[3.0, 4.2]], "fp16", "relative error is 0.04"),
        ([[4.0, 3.0]], "int8", "the angle error is 0.04"),
        ([[-3.0, -4.0]], "int8", "the angle error is 2"),
        ([[0.0, 0.0]], "int8", "the angle error is 1"),
        ([[3.0, 4.0, 5.0]], "fp32", r"has the shape \[1, 3\] where torch's has \[1, 2\], for inputs of x 2x7"),
    ],
)
def test_what_is_too_far_is_refused(found: Any, precision: str, words: str) -> None:
    limits = {**parity.LIMITS, "int8": parity.Limit("angle", 0.03)}
    comparison = parity.Comparison(0.0, {}, [])
    with pytest.raises(ValueError, match=words):
        comparison.add(limits[precision], {"x": np.zeros((2, 7))}, {"logits": np.array(found)}, WANTED, ["logits"])


def test_int8_may_be_longer_or_shorter() -> None:
    assert compared({"logits": np.array([[3.3, 4.4]])}, precision="int8").outputs["logits"] == pytest.approx(0)


def test_what_is_masked_must_be_masked_on_both_sides() -> None:
    masked = {"logits": np.array([[1.0, -np.inf]])}
    assert compared(masked, masked).outputs == {"logits": 0.0}
    with pytest.raises(ValueError, match="relative error is inf"):
        compared({"logits": np.array([[1.0, 1.0]])}, masked)


def test_an_output_of_zeros_has_a_distance() -> None:
    zeros = {"logits": np.zeros((1, 2))}
    assert compared(zeros, zeros).outputs == {"logits": 0.0}
    with pytest.raises(ValueError, match="relative error is 1"):
        compared({"logits": np.array([[0.0, 1.0]])}, zeros)


# ---- the process


def ended(program: str, tmp_path: Path, limit_s: float = 60) -> tuple[process.Ended, list[str]]:
    lines: list[str] = []
    command = [sys.executable, "-c", program]
    return process.run(command, tmp_path / "log", limit_s=limit_s, on_line=lines.append), lines


def test_a_process_tells_its_progress_and_its_last_words(tmp_path: Path) -> None:
    found, lines = ended("import sys; print('one'); print('two'); sys.exit('first\\nits last words\\n')", tmp_path)
    assert found == process.Ended(1, "its last words")
    assert lines == ["one", "two"]


def test_a_process_out_of_time_is_killed_with_its_children(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    found, lines = ended(program, tmp_path, limit_s=5)
    assert found.code is None
    state = Path(f"/proc/{lines[0]}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_an_interruption_kills_the_process(tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupted(line: str) -> None:
        seen.append(int(line))
        os.kill(os.getpid(), 2)

    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        process.run([sys.executable, "-c", program], tmp_path / "log", limit_s=60, on_line=interrupted)
    assert not Path(f"/proc/{seen[0]}").exists()

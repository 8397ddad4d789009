"""Who takes part: ours in several ways, and the peers, each as its own documentation has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.dialect import INFINITY, KSERVE, Dialect, hugging_face
from benchmarks.environment import programs
from benchmarks.ports import free_ports
from benchmarks.server import ROOT, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.scenario import Scenario

    Command = Callable[[int], list[str]]
    """What starts a server on a port."""

BIN = Path(sys.executable).parent

ENV = ["env", f"LD_LIBRARY_PATH={sysconfig.get_config_var('LIBDIR')}"]
"""So that pytriton's Triton runs the very Python that started it, and not another of the same version."""


class Kind(Enum):
    """Whose it is."""

    OURS = "ours"
    PEER = "peer"


@dataclass(frozen=True)
class Contender:
    """A server that can be asked.

    Attributes:
        name: On the command line.
        title: In the tables.
        kind: Whose it is.
        dialects: How it is asked, by the tasks it can do.
        prepare: Builds what it needs for a scenario, in a folder that is its own; gives what starts it. Raises
            UnavailableError.
        precision: Of its weights and its sums.
        baseline: Whether ratios are to this one.
    """

    name: str
    title: str
    kind: Kind
    dialects: Mapping[str, Dialect]
    prepare: Callable[[Scenario, Path], Command]
    precision: str = "fp32"
    baseline: bool = False


def _ours(*options: str) -> Callable[[Scenario, Path], Command]:
    def prepare(scenario: Scenario, folder: Path) -> Command:
        generate = [str(BIN / "generate-repo"), str(scenario.weights), "--task", scenario.task, "--name", "model"]
        done = subprocess.run(
            [*generate, "--output", str(folder), *options], check=False, capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise UnavailableError(f"generate-repo refuses it: {said[-1][:300] if said else 'it says nothing'}")

        def command(port: int) -> list[str]:
            others = zip(("--grpc-port", "--http-port", "--metrics-port"), free_ports(3), strict=True)
            named = [text for flag, number in others for text in (flag, str(number))]
            return [str(BIN / "serve-repo"), str(folder), "--port", str(port), *named]

        return command

    return prepare


def _program(peer: str) -> Callable[[Scenario, Path], Command]:
    """A peer that benchmarks/peers/PEER/server.py serves."""

    def prepare(scenario: Scenario, _folder: Path) -> Command:
        start = [*ENV, str(programs(peer) / "python"), "-m", f"benchmarks.peers.{peer}.server", scenario.task]
        return lambda port: [*start, str(scenario.weights), str(port)]

    return prepare


def _infinity(engine: str) -> Callable[[Scenario, Path], Command]:
    def prepare(scenario: Scenario, folder: Path) -> Command:
        found = programs("infinity")
        model = with_onnx(scenario) if engine == "optimum" else scenario.weights
        # It keeps optimized graphs in the cache of the Hub, and takes whatever one it finds there for this model's.
        start = ["env", f"HF_HOME={folder}", str(found / "python"), "-m", "benchmarks.peers.infinity.server"]
        start += [
            str(model),
            "v2",
            "--model-id",
            ".",
            "--engine",
            engine,
            "--device",
            "cpu",
            "--pooling-method",
            "mean",
        ]
        return lambda port: [*start, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]

    return prepare


def with_onnx(scenario: Scenario) -> Path:
    """The model's folder with model.onnx in it, which is written if it is not there.

    Raises:
        UnavailableError: It cannot be exported here.
    """
    if not scenario.with_onnx.is_dir():
        new = scenario.with_onnx.with_name(f"{scenario.with_onnx.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(scenario.weights, new)
        export = [
            str(programs("infinity") / "python"),
            "-m",
            "benchmarks.peers.infinity.export",
            scenario.task,
            str(new),
        ]
        done = subprocess.run(export, check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise UnavailableError(f"Its ONNX file cannot be made: {done.stderr.strip().splitlines()[-1][:300]}")
        new.rename(scenario.with_onnx)
    return scenario.with_onnx


def _ours_as(name: str, title: str, *options: str, precision: str = "fp32") -> Contender:
    return Contender(f"ours-{name}", f"hub2triton, {title}", Kind.OURS, hugging_face(), _ours(*options), precision)


CONTENDERS = (
    _ours_as("torch", "torch"),
    _ours_as("torch-bf16", "torch bf16", "--dtype", "bf16", precision="bf16"),
    _ours_as("onnx", "ONNX", "--onnx"),
    _ours_as("onnx-latency", "ONNX for latency", "--onnx", "--optimize", "latency"),
    _ours_as("onnx-throughput", "ONNX for throughput", "--onnx", "--optimize", "throughput"),
    _ours_as("onnx-int8", "ONNX int8", "--onnx", "--precision", "int8", "--optimize", "throughput", precision="int8"),
    Contender(
        "one-at-a-time",
        "one at a time (Hugging Face's container)",
        Kind.PEER,
        hugging_face(),
        _program("one_at_a_time"),
        baseline=True,
    ),
    Contender("fastapi", "FastAPI", Kind.PEER, hugging_face(), _program("fastapi")),
    Contender("litserve", "LitServe 0.2.19", Kind.PEER, hugging_face("/predict", lists=False), _program("litserve")),
    Contender("pytriton", "pytriton 0.7.0", Kind.PEER, KSERVE, _program("pytriton")),
    Contender("infinity-torch", "infinity 0.0.78, torch", Kind.PEER, INFINITY, _infinity("torch")),
    Contender("infinity-onnx", "infinity 0.0.78, ONNX", Kind.PEER, INFINITY, _infinity("optimum")),
)

"""What the machine can do at most: the model alone, in as many processes as pay, with nothing served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.server import ALONE, ROOT, UnavailableError

if TYPE_CHECKING:
    from benchmarks.scenario import Scenario

CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Limit:
    """A way to run a model.

    Attributes:
        title: In the tables.
        engine: See compute.ENGINES.
        precision: Of its weights and its sums.
        older: Whether the graph is the one of torch's older exporter, not of transformers'.
        instances: Processes; they share the cores.
    """

    title: str
    engine: str
    precision: str
    older: bool = False
    instances: int = 1

    def measure(self, scenario: Scenario, seconds: float, place: int) -> tuple[dict[int, float], float]:
        """Runs it by itself, once for each batch size.

        Args:
            scenario: Whose model it is.
            seconds: How long, for each.
            place: Decides the order of the texts.

        Returns:
            Texts in a second by batch size, and the median of a call with one text in milliseconds.

        Raises:
            UnavailableError: It cannot be run.
        """
        graph = scenario.with_onnx / "model.onnx" if self.older else scenario.graph(self.precision)
        if self.engine == "onnx" and not graph.is_file():
            raise UnavailableError("There is no such graph of this model.")
        threads = str(CORES // self.instances)
        command = [
            sys.executable,
            "-m",
            "benchmarks.compute",
            scenario.name,
            self.engine,
            self.precision,
            str(graph),
            threads,
        ]
        environment = os.environ | ALONE | {"OMP_NUM_THREADS": threads}
        running = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
                env=environment,
            )
            for _ in range(self.instances)
        ]
        try:
            if any(_line(process) != "ready" for process in running):
                raise UnavailableError("It cannot be loaded.")
            found = {batch: _together(running, batch, seconds, place) for batch in scenario.batches}
        finally:
            for process in running:
                process.kill()
                process.wait()
        rates = {batch: sum(each["texts"] / each["seconds"] for each in answers) for batch, answers in found.items()}
        return rates, found[1][0]["median_ms"]


def _together(running: list[subprocess.Popen[str]], batch: int, seconds: float, place: int) -> list[dict[str, float]]:
    for number, process in enumerate(running):
        assert process.stdin is not None  # noqa: S101 (a pipe)
        process.stdin.write(f"{batch} {seconds} {place * 100 + number}\n")
        process.stdin.flush()
    return [json.loads(_line(process)) for process in running]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 (a pipe)
    found = process.stdout.readline().strip()
    if not found:
        raise UnavailableError("It ended before it had answered.")
    return found


def limits() -> tuple[Limit, ...]:
    """All ways; on a machine with one core, one instance is all there is."""
    found = []
    for instances in dict.fromkeys((1, CORES)):
        found += [
            Limit("onnxruntime, older exporter's graph", "onnx", "fp32", older=True, instances=instances),
            Limit("onnxruntime, transformers' graph", "onnx", "fp32", instances=instances),
            Limit("onnxruntime, transformers' graph", "onnx", "int8", instances=instances),
            Limit("torch", "torch", "fp32", instances=instances),
            Limit("torch", "torch", "bf16", instances=instances),
        ]
    return tuple(found)

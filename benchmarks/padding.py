"""What padding costs: the graph of generate-repo, which leaves it out, beside the exporter's own, in one process.

`python -m benchmarks.padding`; all-MiniLM-L6-v2 on one thread. Batches are computed in turn, and the least time of each
counts: it is what the work takes, and not what else the machine did meanwhile.
"""

from __future__ import annotations

import argparse
import math
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.build import build
from benchmarks.contender import BIN
from benchmarks.scenario import SCENARIOS

BATCHES = {
    "one text": (256,),
    "four of equal length": (254, 255, 256, 257),
    "four of other lengths": (40, 200, 330, 480),
}
"""Places of their texts among all 512, by length."""


def session(graph: Path) -> onnxruntime.InferenceSession:
    """A graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def padded(rows: list[list[int]]) -> dict[str, np.ndarray[Any, Any]]:
    """Rows of tokens as a batch."""
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def least(
    sessions: dict[str, onnxruntime.InferenceSession], batches: dict[str, Any], seconds: float
) -> dict[Any, float]:
    """Milliseconds by batch and graph."""
    found: dict[Any, float] = {}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for batch, feed in batches.items():
            for name in random.sample(list(sessions), len(sessions)):
                own = {taken.name: feed[taken.name] for taken in sessions[name].get_inputs()}
                began = time.perf_counter()
                sessions[name].run(None, own)
                took = (time.perf_counter() - began) * 1000
                found[batch, name] = min(found.get((batch, name), math.inf), took)
    return found


def overhead(times: dict[str, float], batches: dict[str, Any]) -> float:
    """How many places of padding take as long as one pass more; not a number where padding takes no time.

    Args:
        times: Milliseconds of one graph by batch.
        batches: By the names of BATCHES.
    """
    one, equal, others = (times[name] for name in BATCHES)
    tokens, places = ([int(count(batches[name]["attention_mask"])) for name in BATCHES] for count in (np.sum, np.size))
    token = (equal - one) / (tokens[1] - tokens[0])
    a_pass = one - token * tokens[0]
    padding = (others - a_pass - token * tokens[2]) / (places[2] - tokens[2])
    return a_pass / padding if padding > 0 else math.nan


def main() -> None:
    """Prints a table, and what sub_batch_overhead in config.pbtxt should be for each graph."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.padding", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long (default 20)")
    given = parser.parse_args()
    scenario = SCENARIOS["embeddings"]
    build(scenario)
    with tempfile.TemporaryDirectory() as folder:
        generate = [BIN / "generate-repo", scenario.weights, "--task", scenario.task, "--name", "model", "--onnx"]
        done = subprocess.run([*generate, "--output", folder], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        ours, plain = Path(folder, "model", "1", "model.onnx"), scenario.graph("fp32")
        sessions = {"with padding": session(plain), "without": session(ours)}
    tokenizer = Tokenizer.from_file(str(scenario.weights / "tokenizer.json"))
    tokenizer.no_padding()
    rows = sorted((found.ids for found in tokenizer.encode_batch(scenario.sent())), key=len)
    batches = {name: padded([rows[place] for place in places]) for name, places in BATCHES.items()}
    found = least(sessions, batches, given.seconds)
    print("| batch | tokens | with padding | ms, with padding | ms, without | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, feed in batches.items():
        plain_ms, ours_ms = found[name, "with padding"], found[name, "without"]
        mask = feed["attention_mask"]
        print(f"| {name} | {mask.sum()} | {mask.size} | {plain_ms:.1f} | {ours_ms:.1f} | {plain_ms / ours_ms:.2f} |")
    print()
    for graph in sessions:
        times = {name: found[name, graph] for name in BATCHES}
        print(f"{graph}: one pass more takes as long as {overhead(times, batches):.0f} places of padding")


if __name__ == "__main__":
    main()

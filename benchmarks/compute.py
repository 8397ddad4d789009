"""One instance of a model without any server: `python -m benchmarks.compute SCENARIO ENGINE PRECISION GRAPH THREADS`.

It says `ready`, then answers each line `BATCH SECONDS PLACE` on its input with a line of JSON: how many texts it did
in how many seconds, and the median of a call in milliseconds. A call begins with texts and ends with their answers.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.scenario import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.scenario import Scenario

    Compute = Callable[[list[str]], object]


def onnx(scenario: Scenario, precision: str, graph: str, threads: int) -> Compute:  # noqa: ARG001
    """A session of onnxruntime over a tokenizer of tokenizers."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(scenario.weights / "tokenizer.json"))
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [taken.name for taken in session.get_inputs()]

    def compute(texts: list[str]) -> object:
        rows = tokenizer.encode_batch(texts)
        mask = np.array([row.attention_mask for row in rows], dtype=np.int64)
        ids = np.array([row.ids for row in rows], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        found: Any = session.run(None, {name: feed[name] for name in names})[0]
        if found.ndim == 2:
            return found.argmax(axis=1)
        summed = (found * mask[:, :, None]).sum(axis=1)
        return summed / np.linalg.norm(summed, axis=1, keepdims=True)

    return compute


def torch(scenario: Scenario, precision: str, graph: str, threads: int) -> Compute:  # noqa: ARG001
    """A model of transformers, or of sentence-transformers."""
    import torch as library
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    library.set_num_threads(threads)
    dtype = {"fp32": library.float32, "bf16": library.bfloat16}[precision]
    if scenario.task == "sentence-embeddings":
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(str(scenario.weights), device="cpu").to(dtype)
        return lambda texts: encoder.encode(texts, batch_size=len(texts), show_progress_bar=False)
    classes = {"text-classification": AutoModelForSequenceClassification, "text-generation": AutoModelForCausalLM}
    model = classes[scenario.task].from_pretrained(scenario.weights, dtype=dtype).eval()
    tokenizer = AutoTokenizer.from_pretrained(scenario.weights, padding_side="left")

    def compute(texts: list[str]) -> object:
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with library.inference_mode():
            if scenario.parameters:
                return tokenizer.batch_decode(model.generate(**inputs, **scenario.parameters))
            return model(**inputs).logits.argmax(dim=-1).tolist()

    return compute


ENGINES: dict[str, Callable[[Scenario, str, str, int], Compute]] = {"onnx": onnx, "torch": torch}


def measure(compute: Compute, texts: list[str], batch: int, seconds: float, place: int) -> dict[str, float]:
    """Calls with texts of like length, in an order that `place` decides, for so many seconds."""
    batches = [texts[first : first + batch] for first in range(0, len(texts), batch)]
    random.Random(place).shuffle(batches)  # noqa: S311 (not for secrets)
    compute(batches[0])
    times: list[float] = []
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        chosen = batches[len(times) % len(batches)]
        start = time.perf_counter()
        compute(chosen)
        times.append(time.perf_counter() - start)
        done += len(chosen)
    return {"texts": done, "seconds": time.perf_counter() - began, "median_ms": statistics.median(times) * 1000}


def main() -> None:
    """Serves its input until that ends."""
    name, engine, precision, graph, threads = sys.argv[1:]
    scenario = SCENARIOS[name]
    compute = ENGINES[engine](scenario, precision, graph, int(threads))
    texts = sorted(scenario.sent(), key=lambda text: text.count(" "))
    print("ready", flush=True)
    for line in sys.stdin:
        batch, seconds, place = line.split()
        print(json.dumps(measure(compute, texts, int(batch), float(seconds), int(place))), flush=True)


if __name__ == "__main__":
    main()

"""Writes model.onnx beside a model's files. Runs in the environment of infinity.

The exporter is torch's older one, which most of the Hub's files come from: onnxruntime knows its graphs best.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

CLASSES = {
    "sentence-embeddings": (AutoModel, "last_hidden_state"),
    "text-classification": (AutoModelForSequenceClassification, "logits"),
}


def export(task: str, folder: Path) -> None:
    """Exports a model in fp32, for batches and texts of any length."""
    kind, output = CLASSES[task]
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    found = AutoTokenizer.from_pretrained(folder)(["one", "one two three"], padding=True, return_tensors="pt")
    # The exporter gives the names to the graph's inputs in the order of forward's arguments, not of the tokenizer's.
    inputs = {name: found[name] for name in inspect.signature(model.forward).parameters if name in found}
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs} | {output: {0: "batch"}}
    if output == "last_hidden_state":
        axes[output][1] = "tokens"
    torch.onnx.export(
        model,
        (inputs,),
        str(folder / "model.onnx"),
        dynamo=False,
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes=axes,
        opset_version=17,
    )


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]))

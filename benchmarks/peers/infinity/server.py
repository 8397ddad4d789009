"""infinity's own command in a model's folder: `python -m benchmarks.peers.infinity.server FOLDER v2 …`.

Its optimum imports names for exporting, which a server does not do, from a module that torch 2.9 moved; and it finds
an ONNX file only in the folder it runs in.
"""

from __future__ import annotations

import importlib
import os
import sys

HERE = "torch.onnx.symbolic_opset14"
THERE = "torch.onnx._internal.torchscript_exporter.symbolic_opset14"


def serve() -> None:
    """Runs the command with the arguments after the first."""
    sys.modules[HERE] = importlib.import_module(THERE)
    command = importlib.import_module("infinity_emb.cli").cli
    os.chdir(sys.argv.pop(1))
    command()


if __name__ == "__main__":
    serve()

"""Writes pickled weights as safetensors, in a process of its own: `python -m … REQUEST`.

A pickle is a program. torch reads it with `weights_only`, which builds tensors and calls nothing else; what may still
go wrong in it, and how much memory it asks for, ends with this process. REQUEST is a JSON file: `{"files": [[from,
to], …], "memory": bytes}`.
"""

from __future__ import annotations

import json
import resource
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def main(request: str) -> None:
    """Converts the files of a request, each `*.index.json` with its shards' new names."""
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    resource.setrlimit(resource.RLIMIT_DATA, (asked["memory"], asked["memory"]))
    try:
        for source, target in asked["files"]:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            (_write_index if source.endswith(".json") else _write_tensors)(Path(source), Path(target))
    except Exception as error:
        sys.stderr.write((" ".join(str(error).split())[:300] or type(error).__name__) + "\n")
        raise SystemExit(1) from None


def _write_tensors(source: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    # Mapped, so that what a file unpacks to is no larger than the file; older ones than zip archives know no packing.
    found = torch.load(source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source))
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise ValueError("it is no table of tensors, as the weights of a model are")
    save_file({str(name): _own(tensor) for name, tensor in found.items()}, target, metadata={"format": "pt"})


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with memory of its own: tied weights lie in the same, which safetensors does not take."""
    return tensor.detach().clone().contiguous()


def _write_index(source: Path, target: Path) -> None:
    from hub2triton.generate import weights

    index: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    index["weight_map"] = {name: weights.safe_name(str(shard)) for name, shard in index["weight_map"].items()}
    target.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

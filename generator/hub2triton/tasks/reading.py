"""What tasks that read text have in common: the text tensor, and the files that their models need."""

from __future__ import annotations

from hub2triton.tasks.spec import Need
from hub2triton.tensor import DataType, TensorSpec

TEXT = TensorSpec("text", DataType.BYTES, (1,), "one UTF-8 text per row; texts of any length batch together")

TOKENIZER = Need(
    ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model", "*/tokenizer.json"),
    "it has no tokenizer, so it does not read text",
)
WEIGHTS = Need(("*.safetensors", "*.bin"), "it has no PyTorch weights (*.safetensors or *.bin)")

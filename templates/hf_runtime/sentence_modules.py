"""A sentence-transformers model of the usual modules: a transformer, a pooling, and what comes behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import json_file, module_list, transformer_module
from .pooling import Pooling
from .prompts import KIND
from .vector_module import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from .transformer_module import TransformerModule
    from .vector_module import VectorModule


@dataclass(frozen=True)
class SentenceModules:
    """The modules that texts go through.

    Attributes:
        vectors: What comes behind the pooling, in order.
    """

    transformer: TransformerModule
    pooling: Pooling
    vectors: tuple[VectorModule, ...] = ()


def read(folder: Path, *, own_code: bool) -> SentenceModules | None:
    """The modules of a folder; None where it has others than these, which only the library can run.

    Args:
        folder: Of all of a model's files.
        own_code: Whether code beside the weights is run.
    """
    transformer = transformer_module.read(
        folder, task="feature-extraction", auto_class="AutoModel", output="last_hidden_state", own_code=own_code
    )
    if transformer is None:
        return None
    listed = module_list.read(folder)
    if listed is None:
        return SentenceModules(transformer, _default(folder))
    kind = json_file.read(folder / "config_sentence_transformers.json").get("model_type", KIND)
    kinds = [module.kind for module in listed]
    if kind != KIND or kinds[:2] != ["Transformer", "Pooling"] or listed[0].folder != folder:
        return None
    if not READERS.keys() >= set(kinds[2:]):
        return None
    pooling = Pooling.read(listed[1].folder)
    found = [READERS[module.kind](module.folder) for module in listed[2:]]
    vectors = tuple(module for module in found if module is not None)
    return None if pooling is None or len(vectors) < len(found) else SentenceModules(transformer, pooling, vectors)


def _default(folder: Path) -> Pooling:
    """Of a plain model; in one that was made to write, only the last token knows all others."""
    config = json_file.read(folder / "config.json")
    first = (config.get("architectures") or [""])[0]
    writes = first.endswith("ForCausalLM") and config.get("is_causal", True)
    return Pooling(("lasttoken" if writes else "mean",))

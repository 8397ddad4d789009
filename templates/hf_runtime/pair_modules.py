"""What sentence-transformers says of a cross-encoder that is a classifier with one label for a pair of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import activation, json_file, module_list, transformer_module

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .activation import Activation
    from .transformer_module import TransformerModule

KIND = "CrossEncoder"
SIGMOID = "torch.nn.modules.activation.Sigmoid"
"""What makes scores of the numbers of a model that names nothing else."""


@dataclass(frozen=True)
class PairModules:
    """The one module of such a cross-encoder.

    Attributes:
        activation: What makes scores of the model's own numbers.
    """

    transformer: TransformerModule
    activation: Activation


def read(folder: Path, *, own_code: bool) -> PairModules | None:
    """What the files of a folder say; None of a model that only the library can run, such as one that writes.

    Args:
        folder: Of all of a model's files.
        own_code: Whether code beside the weights is run.
    """
    config = json_file.read(folder / "config.json")
    said = json_file.read(folder / "config_sentence_transformers.json")
    transformer = transformer_module.read(
        folder,
        task="sequence-classification",
        auto_class="AutoModelForSequenceClassification",
        output="logits",
        own_code=own_code,
    )
    listed = module_list.read(folder)
    if listed is None:
        said = {}
        usual = not (config.get("architectures") or [""])[0].endswith("ForCausalLM")
    else:
        usual = [(module.kind, module.folder) for module in listed] == [("Transformer", folder)]
        usual = usual and said.get("model_type") == KIND
        usual = usual and not said.get("default_prompt_name") and not said.get("keep_in_fp32_modules")
    function = activation.named(_activation(config, said))
    return PairModules(transformer, function) if transformer and usual and function else None


def _activation(config: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    older = (config.get("sentence_transformers") or {}).get("activation_fn")
    oldest = config.get("sbert_ce_default_activation_function")
    return said.get("activation_fn") or older or oldest or SIGMOID

"""The module Transformer of sentence-transformers: what it says of a text model, and which ones only it can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import normalizers

from . import json_file

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
FILES = tuple(f"sentence_{family}_config.json" for family in FAMILIES)
"""Where it is described; the library takes the first of them that is there, and writes the first name."""

OTHER_INPUT = (
    "adapter_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
"""Files of models that are put together from two, or that read more than text."""

TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
"""Files by which a text becomes a chat, where no modules.json says that it does not."""

ENCODERS_ONLY = {
    *("blenderbot", "blenderbot-small", "longt5", "m2m_100", "marian", "moonshine", "pegasus", "pegasus_x"),
    *("prophetnet", "switch_transformers", "t5gemma", "t5gemma2", "t5gemma2_text", "udop", "whisper"),
}
"""Kinds of models of which the library takes the encoder alone, by a class that AutoModel does not give."""

PARTS = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
"""Those of them that are usual for sentences, and the class of transformers for their encoder."""

WITHOUT_MEANING = {"unpad_inputs", "query_length", "document_length"}
"""Settings that change no answer here: of speed, and of requests that name a kind of text."""


@dataclass(frozen=True)
class TransformerModule:
    """How the module reads texts.

    Attributes:
        auto_class: The class of transformers for the model.
        max_seq_length: Tokens to which texts are cut; None where the tokenizer and the model decide.
        lower_case: Whether texts are written small first, whatever the tokenizer does.
    """

    auto_class: str
    max_seq_length: int | None = None
    lower_case: bool = False

    def set_up(self, tokenizer: Any) -> None:
        """Makes a tokenizer write texts small where that is asked for."""
        if self.lower_case:
            backend = tokenizer.backend_tokenizer
            backend.normalizer = _writing_small(backend.normalizer)


def read(folder: Path, *, task: str, auto_class: str, output: str, own_code: bool) -> TransformerModule | None:
    """What the files of a folder say of its transformer; None where it needs the library.

    Args:
        folder: With the model's config.json.
        task: The library's word for what the model is loaded for, such as feature-extraction.
        auto_class: The class of transformers that goes with it.
        output: What is taken of that which the model gives, such as last_hidden_state.
        own_code: Whether code beside the weights is run.
    """
    config = json_file.read(folder / "config.json")
    kind = config.get("model_type")
    if any((folder / name).exists() for name in OTHER_INPUT) or (own_code and "auto_map" in config):
        return None
    if auto_class == "AutoModel":
        if kind in ENCODERS_ONLY:
            return None
        auto_class = PARTS.get(str(kind), auto_class)
    if not (folder / "modules.json").is_file():  # then the library does not look into its own files either
        return None if _has_chat_template(folder) else TransformerModule(auto_class)
    said = next((found for name in FILES if (found := json_file.read(folder / name))), {})
    told = {name: value for name, value in said.items() if value and name not in WITHOUT_MEANING}
    usual: dict[str, list[Any]] = {
        "transformer_task": [task],
        "modality_config": [{"text": {"method": "forward", "method_output_name": output}}],
        "module_output_name": ["token_embeddings", "scores"],
        "processor_kwargs": [{"model_max_length": told.get("processor_kwargs", {}).get("model_max_length")}],
        "tokenizer_args": [{"model_max_length": told.get("tokenizer_args", {}).get("model_max_length")}],
    }
    length, lower_case = told.pop("max_seq_length", None), bool(told.pop("do_lower_case", False))
    if any(value not in usual.get(name, ()) for name, value in told.items()):
        return None
    for name in ("tokenizer_args", "processor_kwargs"):
        length = told.get(name, {}).get("model_max_length") or length
    return TransformerModule(auto_class, length, lower_case)


def _has_chat_template(folder: Path) -> bool:
    config = json_file.read(folder / "tokenizer_config.json")
    return bool(config.get("chat_template")) or any((folder / name).exists() for name in TEMPLATES)


def _writing_small(normalizer: Any) -> Any:
    steps: list[Any] = [] if normalizer is None else [normalizer]
    if isinstance(normalizer, normalizers.Sequence):
        steps = [normalizer[index] for index in range(len(normalizer))]
    if any(isinstance(step, normalizers.Lowercase) for step in steps):
        return normalizer
    return normalizers.Sequence([normalizers.Lowercase(), *steps])

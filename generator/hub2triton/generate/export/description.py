"""onnx.json: what a graph's model says of itself, for a process that has no torch and no transformers."""

from __future__ import annotations

import json
from typing import Any

OF_THE_EXPORT = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""What a configuration says of where and how it was loaded here; it means nothing elsewhere."""


def of_model(config: Any, positions: int, tokenizer: Any = None) -> dict[str, Any]:
    """The content of onnx.json.

    Args:
        config: The model's, of transformers.
        positions: The most tokens that it has places for.
        tokenizer: Of transformers; None for a model without one.
    """
    values = json.loads(config.to_json_string(use_diff=False))
    told = {name: value for name, value in _with_aliases(config, values).items() if name not in OF_THE_EXPORT}
    described = {"config": told, "positions": positions}
    return {**described, **({"tokenizer": _of_tokenizer(tokenizer)} if tokenizer else {})}


def _with_aliases(config: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration also by the names that all models have, such as GPT-2's n_embd as hidden_size."""
    parts = {
        name: _with_aliases(getattr(config, name), values[name]) for name in config.sub_configs if values.get(name)
    }
    return {
        **values,
        **{alias: values[name] for alias, name in config.attribute_map.items() if name in values},
        **parts,
    }


def _of_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """What the runtime's PlainTokenizer is given besides tokenizer.json."""
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return {
        "model_max_length": int(tokenizer.model_max_length),
        "model_input_names": list(tokenizer.model_input_names),
        "truncation_side": tokenizer.truncation_side,
        "special_tokens": {name: token for name, token in special.items() if name.endswith("_token")},
        "pad_token_type_id": int(tokenizer.pad_token_type_id),
        "split_special_tokens": bool(tokenizer.split_special_tokens),
        "clean_up_tokenization_spaces": _cleans_up(tokenizer),
    }


def _cleans_up(tokenizer: Any) -> bool:
    """Whether spaces before punctuation are removed; of BPE's texts transformers ignores what the files say of that."""
    insists = getattr(tokenizer, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", False)
    ignored = type(tokenizer.backend_tokenizer.model).__name__ == "BPE" and not insists
    return bool(tokenizer.clean_up_tokenization_spaces) and not ignored

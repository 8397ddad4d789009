"""A folder's tokenizer: the one of transformers, or its file alone where that library is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import DESCRIPTION, GRAPH

if TYPE_CHECKING:
    from .settings import Settings


def load(settings: Settings) -> Any:
    """The tokenizer: PlainTokenizer beside an exported graph that describes it, else one of transformers.

    Both are called alike, for what this runtime needs of them. They pad on the right, since on the left the tokens
    would move to other positions, and always have a padding token: padding is masked, so any token will do.
    """
    if (settings.version_dir / GRAPH).is_file():
        description = json.loads((settings.version_dir / DESCRIPTION).read_text(encoding="utf-8"))
        if "tokenizer" in description:  # else it has no such file, as SigLIP's, which is partly written in Python
            from .plain_tokenizer import PlainTokenizer

            return PlainTokenizer(Path(settings.weights()) / "tokenizer.json", **description["tokenizer"])
    from transformers import AutoTokenizer

    from . import torch_text

    found = AutoTokenizer.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
    torch_text.allow_padding(found)
    found.padding_side = "right"
    return found

"""The usual model of sentence-transformers without that library: a text model, a pooling, and what comes behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .text_model import TextModel
from .vector_module import Dense, Normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sentence_modules import SentenceModules
    from .settings import Settings
    from .text_model import Tokens

    Array = np.ndarray[Any, Any]


class PooledModel(TextModel):
    """The usual model of sentence-transformers; see sentence_encoder.Embedder."""

    def __init__(self, settings: Settings, modules: SentenceModules) -> None:
        """Loads the transformer.

        Args:
            settings: Where from, onto which device, in which dtype.
            modules: What sentence-transformers says of the same folder.
        """
        super().__init__(settings, modules.transformer.auto_class)
        modules.transformer.set_up(self.tokenizer)
        self.window = min(modules.transformer.max_seq_length or self.tokenizer.model_max_length, self.engine.positions)
        self._sub_batch = settings.cut
        self._pooling = modules.pooling
        self._vectors = modules.vectors
        size = modules.pooling.size or self.config.get_text_config().hidden_size
        self._pooled_size: int = len(modules.pooling.modes) * size
        widths = [len(module.weight) for module in modules.vectors if isinstance(module, Dense)]
        self.dimension: int | None = widths[-1] if widths else self._pooled_size

    def embed(
        self, texts: Sequence[str], prompt: str, *, side: str, truncate: bool, normalized: bool, counted: bool
    ) -> tuple[Array, list[int]]:
        """The vectors of texts and how many tokens each has; see sentence_encoder.Embedder."""
        prompted = [prompt + text for text in texts]
        if not truncate:
            self.refuse_long(prompted)
        self.tokenizer.truncation_side = side
        rows = self.tokens(prompted)
        counts = [len(row["input_ids"]) for row in rows]
        unread = 0 if self._pooling.include_prompt or not prompt else self._prompt_tokens(prompt)
        vectors = np.zeros((len(rows), self._pooled_size), dtype=np.float32)
        # A text may have no token, where the tokenizer has no special ones. Like the library, its vector is then zeros.
        order = [index for index in np.argsort(counts, kind="stable") if counts[index]]
        for start, end in self._sub_batch.passes([counts[index] for index in order]):
            chosen = order[start:end]
            vectors[chosen] = self._pooled([rows[index] for index in chosen], unread)
        for module in self._vectors:
            if normalized or not isinstance(module, Normalize):
                vectors = module(vectors)
        return vectors, counts if counted else [0] * len(counts)

    def _pooled(self, rows: Sequence[Tokens], unread: int) -> Array:
        """The pooled vectors of one batch: FP32 [rows, pooled size]; the first `unread` tokens do not count."""
        states = self.run(rows)["last_hidden_state"]
        places = np.arange(states.shape[1])
        lengths = np.array([len(row["input_ids"]) for row in rows])
        mask = (places >= unread) & (places < lengths[:, None])
        return self._pooling(states, mask.astype(np.float32))

    def _prompt_tokens(self, prompt: str) -> int:
        """Tokens at the beginning of a text that are the prompt's, with the special ones before it."""
        (row,) = self.tokens([prompt], return_special_tokens_mask=True)
        special: int = row["special_tokens_mask"][-1]  # the one behind it comes behind the text then
        return len(row["input_ids"]) - special

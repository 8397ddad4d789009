"""A classifier of tokens, such as one that finds names; tokens are put together as transformers does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from .batch import grouped, in_sub_batches
from .error import InvalidInput
from .split_text import SplitText
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .text_model import Tokens

Strategy = Literal["none", "simple", "first", "average", "max"]

ABSENT = -1
"""For a number that an entity does not have: INT32 has no null."""


class EntityOptions(TypedDict, total=False):
    """The parameters of a request for entities.

    Attributes:
        aggregation_strategy: How tokens become entities; `none`, the default, gives every token by itself.
        ignore_labels: Labels to leave out; `O` where it is not given.
        stride: Reads a text longer than the window by windows that overlap in so many tokens, instead of cutting it.
        is_split_into_words: Whether each text is a JSON list of words.
        delimiter: What places in such a text count between its words; one space where it is not given.
    """

    aggregation_strategy: Strategy
    ignore_labels: list[str]
    stride: int
    is_split_into_words: bool
    delimiter: str


class TokenClassifier(TextModel):
    """The model of a folder with its head for tokens."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, AutoModelForTokenClassification)
        pipeline: Any = TokenClassificationPipeline  # it has no types
        self._pipeline = pipeline(model=self.model, tokenizer=self.tokenizer, device=self.device)
        self._size_of_batch = settings.sub_batch_size

    def entities(self, texts: Sequence[str], **options: Unpack[EntityOptions]) -> list[dict[str, Any]]:
        """The entities of each text, as lists by output name.

        Raises:
            InvalidInput: A stride that this model, or this strategy, cannot have, or a text that is no list of words
                while it should be.
        """
        strategy = options.get("aggregation_strategy", "none")
        stride = options.get("stride")
        if stride is not None:
            self._check_stride(stride, strategy)
        if strategy not in ("none", "simple") and not self.tokenizer.is_fast:
            raise InvalidInput(
                f"aggregation_strategy {strategy!r} needs words, which this model's tokenizer cannot tell; use simple"
            )
        split = self._split(texts, options) if options.get("is_split_into_words") else None
        windows = self._windows(texts if split is None else [own.words for own in split], stride)
        logits = in_sub_batches(
            windows, self._logits, length=lambda tokens: len(tokens["input_ids"]), size=self._size_of_batch
        )
        outputs: list[list[dict[str, Any]]] = [[] for _ in texts]
        for tokens, found in zip(windows, logits, strict=True):
            outputs[tokens["text"]].append(self._output(tokens, found))
        for index, own in enumerate(outputs):  # the first window says what is the same for all
            own[0]["sentence"] = texts[index] if split is None else split[index].text
            own[0]["word_to_chars_map"] = None if split is None else split[index].places
        entities = (
            self._pipeline.postprocess(own, AggregationStrategy(strategy), options.get("ignore_labels"))
            for own in outputs
        )
        return [_columns(found) for found in entities]

    def _split(self, texts: Sequence[str], options: EntityOptions) -> list[SplitText]:
        if not self.tokenizer.is_fast:
            raise InvalidInput(
                "parameter 'is_split_into_words' needs a fast tokenizer, and this model has none; leave it out"
            )
        return [SplitText.of(text, options.get("delimiter", " ")) for text in texts]

    def _windows(self, texts: Sequence[str] | Sequence[list[str]], stride: int | None) -> list[Tokens]:
        """The tokens of each text, or each list of words, in one window or several; `text` says whose they are."""
        more: dict[str, Any] = {} if stride is None else {"return_overflowing_tokens": True, "stride": stride}
        windows = self.tokens(
            texts,
            return_special_tokens_mask=True,
            return_offsets_mapping=self.tokenizer.is_fast,
            is_split_into_words=not isinstance(texts[0], str),
            **more,
        )
        return [
            {**tokens, "text": tokens.get("overflow_to_sample_mapping", index)} for index, tokens in enumerate(windows)
        ]

    def _logits(self, windows: Sequence[Tokens]) -> list[torch.Tensor]:
        """FP32 [tokens, labels] of each window, padding cut off."""
        found: dict[int, torch.Tensor] = {}
        for group in grouped(range(len(windows)), key=lambda index: bool(windows[index]["input_ids"])):
            batch = [windows[index] for index in group]
            if batch[0]["input_ids"]:
                logits = self.forward(self.pad(batch)).logits.float().cpu()
            else:  # an empty text, and a tokenizer without special tokens
                logits = torch.zeros(len(batch), 0, self.config.num_labels)
            found.update(
                (index, row[: len(windows[index]["input_ids"])]) for index, row in zip(group, logits, strict=True)
            )
        return [found[index] for index in range(len(windows))]

    def _output(self, tokens: Tokens, logits: torch.Tensor) -> dict[str, Any]:
        """One window in the form that the pipeline has it between its model and its `postprocess`."""
        return {
            "logits": logits[None],
            "input_ids": [tokens["input_ids"]],
            "special_tokens_mask": torch.tensor([tokens["special_tokens_mask"]]),
            "offset_mapping": [tokens["offset_mapping"]] if "offset_mapping" in tokens else None,
            "word_ids": tokens.get("word_ids"),
        }

    def _check_stride(self, stride: int, strategy: Strategy) -> None:
        if strategy == "none":
            raise InvalidInput(
                "parameter 'stride' needs an aggregation_strategy: simple, first, average or max, not none"
            )
        if not self.tokenizer.is_fast:
            raise InvalidInput("parameter 'stride' needs a fast tokenizer, and this model has none; leave it out")
        most = self.window - self.tokenizer.num_special_tokens_to_add() - 1
        if not 0 <= stride <= most:
            raise InvalidInput(f"parameter 'stride' must be from 0 to {most} for this model, not {stride}")


def _columns(entities: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entities as lists by output name; what an entity does not have is ABSENT."""
    numbers = {
        name: np.array([ABSENT if (value := found.get(name)) is None else value for found in entities], dtype=np.int32)
        for name in ("index", "start", "end")
    }
    return {
        "entity": [found["entity_group"] if "entity_group" in found else found["entity"] for found in entities],
        "score": [float(found["score"]) for found in entities],
        "word": [found["word"] for found in entities],
        **numbers,
    }

"""A classifier of tokens, such as one that finds names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from . import entity
from .batch import grouped, in_sub_batches
from .entity_token import EntityTokens
from .error import InvalidInput
from .split_text import SplitText
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .entity import Entity
    from .settings import Settings
    from .text_model import Tokens

    Array = np.ndarray[Any, Any]

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

    aggregation_strategy: entity.Strategy
    ignore_labels: list[str]
    stride: int
    is_split_into_words: bool
    delimiter: str


class TokenClassifier(TextModel):
    """The model of a folder with its head for tokens.

    Attributes:
        labels: The model's own, by their places among its logits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForTokenClassification")
        self.labels: Mapping[int, str] = self.config.id2label
        self._entity_tokens = EntityTokens(self.tokenizer)
        self._sub_batch = settings.cut

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
            windows, self._logits, length=lambda tokens: len(tokens["input_ids"]), cut=self._sub_batch
        )
        found: list[list[list[Entity]]] = [[] for _ in texts]  # of each text the entities of each of its windows
        ignored = options.get("ignore_labels", entity.OUTSIDE)
        for window, own in zip(windows, logits, strict=True):
            number = window["text"]
            text, words = (texts[number], None) if split is None else (split[number].text, split[number].places)
            tokens = self._entity_tokens.of(window, own, text, words)
            made = entity.entities(tokens, strategy, self.labels, self.tokenizer.convert_tokens_to_string)
            found[number].append([one for one in made if one.label not in ignored])
        return [_columns(entity.without_overlaps(own)) for own in found]

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

    def _logits(self, windows: Sequence[Tokens]) -> list[Array]:
        """FP32 [tokens, labels] of each window, padding cut off."""
        found: dict[int, Array] = {}
        for group in grouped(range(len(windows)), key=lambda index: bool(windows[index]["input_ids"])):
            batch = [windows[index] for index in group]
            if batch[0]["input_ids"]:
                logits = self.run(batch)["logits"]
            else:  # an empty text, and a tokenizer without special tokens
                logits = np.zeros((len(batch), 0, self.config.num_labels), dtype=np.float32)
            found.update(
                (index, row[: len(windows[index]["input_ids"])]) for index, row in zip(group, logits, strict=True)
            )
        return [found[index] for index in range(len(windows))]

    def _check_stride(self, stride: int, strategy: entity.Strategy) -> None:
        if strategy == "none":
            raise InvalidInput(
                "parameter 'stride' needs an aggregation_strategy: simple, first, average or max, not none"
            )
        if not self.tokenizer.is_fast:
            raise InvalidInput("parameter 'stride' needs a fast tokenizer, and this model has none; leave it out")
        most = self.window - self.tokenizer.num_special_tokens_to_add() - 1
        if not 0 <= stride <= most:
            raise InvalidInput(f"parameter 'stride' must be from 0 to {most} for this model, not {stride}")


def _columns(found: Sequence[Entity]) -> dict[str, Any]:
    """Entities as lists by output name; what an entity does not have is ABSENT."""
    places = [(ABSENT, ABSENT) if one.place is None else one.place for one in found]
    return {
        "entity": [one.label for one in found],
        "score": [one.score for one in found],
        "word": [one.word for one in found],
        "index": np.array([ABSENT if one.index is None else one.index for one in found], dtype=np.int32),
        "start": np.array([start for start, _ in places], dtype=np.int32),
        "end": np.array([end for _, end in places], dtype=np.int32),
    }

"""A model that reads sounds: its feature extractor, and forward passes of sounds of several lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import AutoFeatureExtractor

from . import engine
from .batch import grouped
from .error import InvalidInput
from .frames import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .settings import Settings

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Features:
    """One sound as the model takes it.

    Attributes:
        values: FP32 [samples] or [frames, bins], or what else the feature extractor makes of a sound.
        mask: Which of its samples or frames are meant, where the extractor says so: [samples] or [frames].
        samples: How many samples the sound has.
    """

    values: Array
    mask: Array | None
    samples: int


class AudioModel:
    """The feature extractor and the model of a folder.

    Attributes:
        extractor: It makes of a sound what the model reads.
        rate: Samples in a second of the sounds that it takes.
        engine: What computes the model.
        config: The model's own.
        frames: How many frames it makes of a sound.
    """

    def __init__(self, settings: Settings, auto_class: str) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: The class of transformers that has the model's head, such as AutoModelForCTC.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.rows = settings.sub_batch_size
        self.extractor = AutoFeatureExtractor.from_pretrained(
            settings.weights(), trust_remote_code=settings.trust_remote_code
        )
        self.rate: int = self.extractor.sampling_rate
        self.engine = engine.load(settings, auto_class)
        self.config = self.engine.config
        self.frames = Frames.of(self.config)
        # Where the first layer takes its norm over time ("group"), silence at the end changes every frame, and a mask
        # does not help: only sounds of one length may share a batch. Models with "layer" take each frame by itself.
        self.masks = getattr(self.config, "feat_extract_norm", None) == "layer"

    def features(self, samples: Array, **options: Any) -> Features:
        """What the model reads of one sound; the options are the extractor's.

        Raises:
            InvalidInput: The sound is too short for a single frame.
        """
        try:
            found = self.extractor(samples, sampling_rate=self.rate, return_tensors="np", **options)
        except (ValueError, RuntimeError, AssertionError) as error:  # the extractors have no check of it
            if len(samples) > self.rate:
                raise
            raise InvalidInput(_too_short(len(samples) / self.rate)) from error
        values, mask = found[self.extractor.model_input_names[0]][0], found.get("attention_mask")
        if values.ndim == 1 and self.frames.count(len(values)) < 1:
            raise InvalidInput(_too_short(len(samples) / self.rate))
        return Features(values, None if mask is None else mask[0], len(samples))

    def logits(self, sounds: Sequence[Features]) -> list[Array]:
        """What the model says of each sound: FP32 [labels], or [frames, labels] without the frames of padding."""
        found: dict[int, Array] = {}
        for batch in self._batches(sounds):
            rows = [sounds[index] for index in batch]
            inputs = {self.extractor.model_input_names[0]: _padded([row.values for row in rows])}
            if self.masks or rows[0].mask is not None:
                inputs["attention_mask"] = _padded([_mask(row) for row in rows])
            longest = max(len(row.values) for row in rows)
            for index, row, logits in zip(batch, rows, self.engine.run(inputs)["logits"], strict=True):
                shorter = len(row.values) < longest and logits.ndim > 1
                found[index] = logits[: self.frames.count(len(row.values))] if shorter else logits
        return [found[index] for index in range(len(sounds))]

    def _batches(self, sounds: Sequence[Features]) -> Iterator[list[int]]:
        """The places of sounds that go through the model together: not too many, and of similar or equal length."""
        order = sorted(range(len(sounds)), key=lambda index: sounds[index].samples)

        def kind(index: int) -> object:
            values, mask = sounds[index].values, sounds[index].mask
            return (values.ndim if self.masks and values.ndim == 1 else values.shape, mask is None)

        for group in grouped(order, key=kind):
            for start in range(0, len(group), self.rows):
                yield group[start : start + self.rows]


def _mask(row: Features) -> Array:
    """Of a sound whose extractor gives none, all is meant."""
    return np.ones(len(row.values), dtype=np.int64) if row.mask is None else row.mask.astype(np.int64)


def _padded(rows: Sequence[Array]) -> Array:
    """A batch: the rows with zeros behind the shorter ones."""
    longest = max(len(row) for row in rows)
    padded = np.zeros((len(rows), longest, *rows[0].shape[1:]), dtype=rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded


def _too_short(seconds: float) -> str:
    return f"the sound has only {seconds:.3f} seconds, which is too short for this model; send a longer one"

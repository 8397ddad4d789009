"""A torch model that reads sounds: its feature extractor, and forward passes of sounds of several lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoFeatureExtractor

from . import checkpoint
from .batch import grouped
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

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

    values: torch.Tensor
    mask: torch.Tensor | None
    samples: int


class AudioModel:
    """The feature extractor and the model of a folder.

    Attributes:
        extractor: It makes of a sound what the model reads.
        rate: Samples in a second of the sounds that it takes.
        model: In evaluation mode, on the instance's device.
        config: The model's own.
    """

    def __init__(self, settings: Settings, auto_class: Any) -> None:
        """Loads both.

        Args:
            settings: Where from, onto which device, in which dtype.
            auto_class: Such as transformers' AutoModelForCTC.

        Raises:
            ValueError: The files hold no trained head of this class.
        """
        self.device = settings.device
        self.rows = settings.sub_batch_size
        self.extractor = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]
            settings.weights(), trust_remote_code=settings.trust_remote_code
        )
        self.rate: int = self.extractor.sampling_rate
        self.model = checkpoint.load(settings, auto_class)
        self.config = self.model.config
        # Where the first layer takes its norm over time ("group"), silence at the end changes every frame, and a mask
        # does not help: only sounds of one length may share a batch. Models with "layer" take each frame by itself.
        self.masks = getattr(self.config, "feat_extract_norm", None) == "layer"

    def features(self, samples: Array, **options: Any) -> Features:
        """What the model reads of one sound; the options are the extractor's.

        Raises:
            InvalidInput: The sound is too short for a single frame.
        """
        try:
            found = self.extractor(samples, sampling_rate=self.rate, return_tensors="pt", **options)
        except (ValueError, RuntimeError, AssertionError) as error:  # the extractors have no check of it
            if len(samples) > self.rate:
                raise
            raise InvalidInput(_too_short(len(samples) / self.rate)) from error
        values, mask = found[self.model.main_input_name][0], found.get("attention_mask")
        if values.ndim == 1 and self._frames(len(values)) < 1:
            raise InvalidInput(_too_short(len(samples) / self.rate))
        return Features(values, None if mask is None else mask[0], len(samples))

    @torch.inference_mode()
    def logits(self, sounds: Sequence[Features]) -> list[torch.Tensor]:
        """What the model says of each sound: FP32 [labels], or [frames, labels] without the frames of padding."""
        found: dict[int, torch.Tensor] = {}
        for batch in self._batches(sounds):
            rows = [sounds[index] for index in batch]
            longest = max(len(row.values) for row in rows)
            padded = any(len(row.values) < longest for row in rows)
            inputs = {self.model.main_input_name: self._padded([row.values for row in rows]).to(self.model.dtype)}
            if padded or rows[0].mask is not None:
                masks = [torch.ones(len(row.values)) if row.mask is None else row.mask for row in rows]
                inputs["attention_mask"] = self._padded(masks).long()
            for index, row, logits in zip(batch, rows, self.model(**inputs).logits.float().cpu(), strict=True):
                found[index] = logits[: self._frames(len(row.values))] if padded and logits.ndim > 1 else logits
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

    def _padded(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).to(self.device)

    def _frames(self, samples: int) -> int:
        """The frames that a model makes of samples; as many as samples where it cannot tell."""
        lengths = getattr(self.model, "_get_feat_extract_output_lengths", None)
        return samples if lengths is None else int(lengths(torch.tensor(samples)))


def _too_short(seconds: float) -> str:
    return f"the sound has only {seconds:.3f} seconds, which is too short for this model; send a longer one"

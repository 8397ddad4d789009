"""What speech recognition is given and gives: sounds, what is asked of them, and transcripts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from .audio_model import Features

    Array = np.ndarray[Any, Any]


class SpeechOptions(TypedDict, total=False):
    """The parameters of a request for a transcript.

    Attributes:
        return_timestamps: Also the parts of the text and when they were said: "word" for words, "char" for characters
            (CTC), true for segments (Whisper).
        chunk_length_s: Seconds of the parts that a sound is read in; 0 for the model's own way.
        stride_length_s: Seconds that parts share, on each side or on the left and the right.
        language: What is spoken; Whisper finds it out where it is not given.
        task: Whether Whisper writes down what is said, or its English translation.
        return_language: Also which language it is.
        max_new_tokens: The most tokens that Whisper writes for its window of sound; this and the following steer its
            generation as they do for texts, and other models do without.
    """

    return_timestamps: bool | Literal["word", "char"]
    chunk_length_s: float
    stride_length_s: float | list[float]
    language: str
    task: Literal["transcribe", "translate"]
    return_language: bool
    max_new_tokens: int
    max_length: int
    min_new_tokens: int
    min_length: int
    do_sample: bool
    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    epsilon_cutoff: float
    eta_cutoff: float
    repetition_penalty: float
    no_repeat_ngram_size: int
    num_beams: int
    early_stopping: bool | Literal["never"]
    length_penalty: float


STEERING = frozenset(SpeechOptions.__annotations__) - {
    *("return_timestamps", "chunk_length_s", "stride_length_s", "language", "task", "return_language")
}
"""The parameters of generation among them."""


@dataclass(frozen=True)
class Speech:
    """One sound.

    Attributes:
        samples: FP32 [samples], at the model's rate.
        features: What the model reads of it as a whole, where that is made beforehand.
    """

    samples: Array
    features: Features | None = None


@dataclass(frozen=True)
class Transcript:
    """What was said.

    Attributes:
        chunks: The text's parts as transformers' pipelines give them: `text`, and `timestamp` and `language` if asked
            for.
    """

    text: str
    chunks: Sequence[dict[str, Any]] = ()

    def answer(self) -> dict[str, Any]:
        """The values of the outputs; what is not known is NaN, or an empty text."""
        times = [chunk.get("timestamp", (None, None)) for chunk in self.chunks]
        return {
            "text": self.text,
            "chunk_text": [chunk["text"] for chunk in self.chunks],
            "chunk_timestamp": [[math.nan if time is None else time for time in pair] for pair in times],
            "chunk_language": [chunk.get("language") or "" for chunk in self.chunks],
        }


@dataclass(frozen=True)
class Part:
    """A part of a sound, which begins and ends with what it shares with its neighbours.

    Attributes:
        left: Samples shared with the part before.
        right: Samples shared with the part behind.
    """

    samples: Array
    left: int
    right: int

    @property
    def stride(self) -> tuple[int, int, int]:
        """Its length and what it shares on both sides, in samples."""
        return len(self.samples), self.left, self.right


@dataclass(frozen=True)
class Cut:
    """How sounds are cut into parts.

    Attributes:
        length: Samples in a part.
        left: Of these, what a part shares with the one before.
        right: What it shares with the one behind.
    """

    length: int
    left: int
    right: int

    @classmethod
    def of(cls, seconds: float, stride: float | list[float] | None, rate: int, align_to: int) -> Cut:
        """The cut of a request.

        Args:
            seconds: The length of a part.
            stride: What it shares on both sides, in seconds; None for a sixth.
            rate: Samples in a second.
            align_to: Samples that a frame of the model stands for: lengths are multiples of it.

        Raises:
            InvalidInput: A part would hold nothing of its own, or not enough for the parts to be of bounded number.
        """
        if stride is None:
            stride = seconds / 6
        sides = stride if isinstance(stride, list) else [stride, stride]
        if len(sides) != 2 or not all(0 <= side < math.inf for side in sides):  # noqa: PLR2004 (left and right)
            raise InvalidInput("parameter 'stride_length_s' must be a number of at least 0, or a list of two of them")
        # Longer sides leave nothing in any case, and may be more samples than a number can count.
        length, left, right = (round(min(side, seconds) * rate / align_to) * align_to for side in (seconds, *sides))
        if length - left - right < rate * SMALLEST_STEP_S:
            raise InvalidInput(
                f"parts of {seconds:g} seconds that share {sides[0]:g} and {sides[1]:g} leave less than "
                f"{SMALLEST_STEP_S:g} seconds to each; make chunk_length_s larger, or stride_length_s smaller"
            )
        return cls(length, left, right)

    def parts(self, samples: Array) -> Iterator[Part]:
        """The parts of a sound, from its beginning to its end."""
        for start in range(0, len(samples), self.length - self.left - self.right):
            part = samples[start : start + self.length]
            left = self.left if start else 0
            last = start + self.length >= len(samples)
            if len(part) > left:
                yield Part(part, left, 0 if last else self.right)
            if last:
                break


SMALLEST_STEP_S = 0.1
"""Seconds by which the next part of a sound must begin later than the one before."""


def seconds_of(options: SpeechOptions, longest: float) -> float:
    """The parameter chunk_length_s.

    Raises:
        InvalidInput: Longer than the model reads at once.
    """
    seconds = options.get("chunk_length_s", 0.0)
    if not 0 <= seconds <= longest:
        raise InvalidInput(f"parameter 'chunk_length_s' must be from 0 to {longest:g} for this model, not {seconds:g}")
    return seconds

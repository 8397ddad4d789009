"""A model that names a character for each frame of a sound: Wav2Vec2, HuBERT and others with a CTC head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import AutoConfig, AutoTokenizer

from .audio_model import AudioModel
from .error import InvalidInput
from .speech import Cut, Part, Speech, SpeechOptions, Transcript, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings

    Array = np.ndarray[Any, Any]

MAX_CHUNK_SECONDS = 60
"""Where config.pbtxt names no max_chunk_seconds."""

CHUNK_SECONDS = 30.0
"""The parts of longer sounds, unless the request says; fewer where max_chunk_seconds is smaller."""


class CtcRecognizer(AudioModel):
    """The model of a folder and its tokenizer.

    Attributes:
        align_to: Samples that a frame stands for.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForCTC")
        self.tokenizer = AutoTokenizer.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
        # Its class works it out, so it is not among the values that come with a graph.
        config = AutoConfig.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
        self.align_to: int = getattr(config, "inputs_to_logits_ratio", 1)
        self.longest = settings.positive("max_chunk_seconds", MAX_CHUNK_SECONDS)

    def speech(self, samples: Array) -> Speech:
        """A sound that was read; its parts get their features when it is known where they are cut.

        Raises:
            InvalidInput: It is too short for a single frame.
        """
        if len(samples) < self.rate:
            self.features(samples)
        return Speech(samples)

    def transcripts(self, sounds: Sequence[Speech], options: SpeechOptions) -> list[Transcript]:
        """The transcripts of a batch.

        Raises:
            InvalidInput: The options ask for what such a model cannot do.
        """
        unit = _unit(options)
        owners: list[int] = []
        parts: list[Part] = []
        for index, sound in enumerate(sounds):
            own = self._parts(sound.samples, options)
            owners += [index] * len(own)
            parts += own
        # As the pipelines do: the mask belongs to all features, also where the model has no use for it.
        features = [self.features(part.samples, return_attention_mask=True) for part in parts]
        tokens: list[list[Array]] = [[] for _ in sounds]
        for owner, part, logits in zip(owners, parts, self.logits(features), strict=True):
            tokens[owner].append(self._own(part, logits.argmax(axis=-1)))
        return [self._transcript(np.concatenate(found), unit) for found in tokens]

    def _parts(self, samples: Array, options: SpeechOptions) -> list[Part]:
        seconds = seconds_of(options, self.longest)
        if not seconds and len(samples) <= self.longest * self.rate:
            return [Part(samples, 0, 0)]
        seconds = seconds or min(CHUNK_SECONDS, self.longest)
        cut = Cut.of(seconds, options.get("stride_length_s"), self.rate, self.align_to)
        return [part for part in cut.parts(samples) if self.frames.count(len(part.samples)) > 0]

    def _own(self, part: Part, tokens: Array) -> Array:
        """The tokens of a part without those that it shares with its neighbours."""
        if not part.left and not part.right:
            return tokens
        length, left, right = part.stride
        count = round(length / self.align_to)
        left, right = (round(side / length * count) for side in (left, right))
        return tokens[left : count - right]

    def _transcript(self, tokens: Array, unit: str | None) -> Transcript:
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=False))
        if unit is None:
            return Transcript(text)
        told: Any = self.tokenizer.decode(
            tokens, skip_special_tokens=False, output_char_offsets=True, output_word_offsets=unit == "word"
        )
        offsets = told[f"{unit}_offsets"]
        step = self.align_to / self.rate
        return Transcript(
            text,
            [
                {"text": item[unit], "timestamp": (item["start_offset"] * step, item["end_offset"] * step)}
                for item in offsets
            ],
        )


def _unit(options: SpeechOptions) -> str | None:
    """What the timestamps are of."""
    unit = options.get("return_timestamps") or None
    if unit is True:
        raise InvalidInput(
            "this model knows words and characters, but no segments; set parameter 'return_timestamps' to \"word\" or "
            '"char"'
        )
    if options.get("language") is not None or options.get("return_language"):
        raise InvalidInput("this model knows one language only; leave 'language' and 'return_language' out")
    if options.get("task") == "translate":
        raise InvalidInput("this model does not translate; leave 'task' out, or choose a multilingual Whisper model")
    return unit

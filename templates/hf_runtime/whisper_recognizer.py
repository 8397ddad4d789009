"""Whisper: an encoder-decoder model that reads a window of sound, mostly 30 seconds, and writes down what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoTokenizer
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE
from transformers.utils import logging as transformers_logging

from .audio_model import AudioModel, Features
from .error import InvalidInput
from .generation import SAMPLING, checked
from .speech import STEERING, Cut, Part, Speech, SpeechOptions, Transcript, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .settings import Settings
    from .torch_engine import TorchEngine

    Array = np.ndarray[Any, Any]
    Written = dict[str, Any]  # of one window or one long sound: tokens, and what was asked for besides

MAX_NEW_TOKENS = 256
NUM_BEAMS = 5
"""What the pipelines of transformers 5 generate by where the model says nothing."""

PROMPT = 4
"""Tokens that every text begins with: the beginning itself, a language, a task, and whether there are timestamps."""


class WhisperRecognizer(AudioModel):
    """The model of a folder and its tokenizer.

    Attributes:
        model: In evaluation mode, on the instance's device.
        window: Samples that it reads at once.
    """

    engine: TorchEngine  # such models write token by token

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForSpeechSeq2Seq")
        self.model = self.engine.model
        # `generate` comments on every combination of parameters, once for each request.
        transformers_logging.set_verbosity_error()
        self.tokenizer = AutoTokenizer.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
        self.window: int = self.extractor.n_samples
        self.precision: float = self.extractor.chunk_length / self.config.max_source_positions
        self.room = self.config.max_target_positions - PROMPT

    def speech(self, samples: Array) -> Speech:
        """A sound with what the model reads of it: one window, or all of a longer sound."""
        long = {"truncation": False, "padding": "longest"} if len(samples) > self.window else {}
        return Speech(samples, self.features(samples, return_attention_mask=True, **long))

    def transcripts(self, sounds: Sequence[Speech], options: SpeechOptions) -> list[Transcript]:
        """The transcripts of a batch.

        Raises:
            InvalidInput: The options ask for what this model cannot do.
        """
        asked = self._asked(options)
        seconds = seconds_of(options, self.window / self.rate)
        written: list[list[Written]] = [[] for _ in sounds]
        if seconds:
            cut = Cut.of(seconds, options.get("stride_length_s"), self.rate, 1)
            parts = [(index, part) for index, sound in enumerate(sounds) for part in cut.parts(sound.samples)]
            features = [self.features(part.samples, return_attention_mask=True) for _, part in parts]
            for (index, part), found in zip(parts, self._written(features, asked, options), strict=True):
                written[index].append({**found, "stride": self._seconds(part)})
        else:
            whole = [sound.features for sound in sounds if sound.features is not None]
            for index, found in enumerate(self._written(whole, asked, options)):
                written[index].append(found)
        return [self._transcript(found, options) for found in written]

    def _written(self, sounds: Sequence[Features], asked: dict[str, Any], options: SpeechOptions) -> Iterator[Written]:
        """What the model writes for each sound, in their order."""
        found: dict[int, Written] = {}
        for batch in self._together(sounds, asked):
            rows = [sounds[index] for index in batch]
            found.update(zip(batch, self._generated(rows, asked, options), strict=True))
        return (found[index] for index in range(len(sounds)))

    def _together(self, sounds: Sequence[Features], asked: dict[str, Any]) -> Iterator[list[int]]:
        """The places of sounds that are written down together: single windows with others, and long sounds alone.

        All windows have the same size. Long sounds are cut where the model hears a pause, so after the first window
        each goes its own way. The times of words are told from all tokens of a row, those behind its end included where
        another row goes on; and draws come from the one generator that torch has: so in these cases a window alone.
        """
        frames = self.extractor.nb_max_frames
        windows = [index for index, sound in enumerate(sounds) if sound.values.shape[-1] <= frames]
        size = 1 if asked.keys() & {"temperature", "return_token_timestamps"} else self.rows
        for start in range(0, len(windows), size):
            yield windows[start : start + size]
        yield from ([index] for index, sound in enumerate(sounds) if sound.values.shape[-1] > frames)

    @torch.inference_mode()
    def _generated(self, rows: Sequence[Features], asked: dict[str, Any], options: SpeechOptions) -> Iterator[Written]:
        """One call of the model's own `generate`."""
        values = self.engine.placed(torch.from_numpy(np.stack([row.values for row in rows])))
        mask = self.engine.placed(torch.from_numpy(np.stack([row.mask for row in rows if row.mask is not None])))
        steer = dict(asked)
        if values.shape[-1] > self.extractor.nb_max_frames:  # the timestamps tell where the next window begins
            steer["return_timestamps"] = True
        if "seed" in steer:
            torch.manual_seed(steer.pop("seed"))
        attention = self.config._attn_implementation  # noqa: SLF001 (there is no public way to read it)
        try:
            got = self.model.generate(values, attention_mask=mask, return_segments=True, **steer)
        except ValueError as error:  # what transformers says of a parameter's value
            raise InvalidInput(str(error).replace("`", "'")) from None
        finally:
            # `generate` changes it for the times of words, and leaves it so.
            self.config._attn_implementation = attention  # noqa: SLF001
        for segments in got["segments"]:
            empty = torch.zeros(0, dtype=torch.long)
            found: Written = {"tokens": torch.cat([empty, *(one["tokens"].cpu() for one in segments)])[None]}
            if asked.get("return_token_timestamps"):
                times = [one["token_timestamps"].cpu() for one in segments]
                found["token_timestamps"] = torch.cat([torch.zeros(0), *times])[None]
            if options.get("return_language"):
                found["tokens"] = torch.cat([self._language(segments), found["tokens"]], dim=-1)
            yield found

    def _language(self, segments: Sequence[dict[str, Any]]) -> torch.Tensor:
        """The token of the language that was heard, [1, 1]; [1, 0] where there is none."""
        ids = set(getattr(self.model.generation_config, "lang_to_id", {}).values())
        for one in segments[:1]:
            result = one["result"]
            whole = result["sequences"] if isinstance(result, dict) else result
            return torch.tensor([[token for token in whole.tolist() if token in ids][:1]], dtype=torch.long)
        return torch.zeros(1, 0, dtype=torch.long)

    def _transcript(self, written: list[Written], options: SpeechOptions) -> Transcript:
        timestamps = self._timestamps(options)
        language = options.get("return_language") or None
        text, more = self.tokenizer._decode_asr(  # noqa: SLF001 (what the pipeline itself calls)
            written, return_timestamps=timestamps, return_language=language, time_precision=self.precision
        )
        return Transcript(text, more.get("chunks", ()))

    def _timestamps(self, options: SpeechOptions) -> bool | str | None:
        # Some models ask for them in their generation_config.json.
        return options.get("return_timestamps") or getattr(self.model.generation_config, "return_timestamps", None)

    def _seconds(self, part: Part) -> tuple[float, float, float]:
        length, left, right = part.stride
        return length / self.rate, left / self.rate, right / self.rate

    def _asked(self, options: SpeechOptions) -> dict[str, Any]:
        """What `generate` is told."""
        given: Any = {name: value for name, value in options.items() if name in STEERING}
        if given.get("temperature") == 0:  # a way to say that nothing is to be drawn
            del given["temperature"]
            given["do_sample"] = False
        asked = checked(given)
        sampled = asked.pop("do_sample", "temperature" in asked)
        if sampled:  # Whisper's `generate` draws where it gets a temperature
            asked.setdefault("temperature", 1.0)
        else:
            asked = {name: value for name, value in asked.items() if name not in SAMPLING}
        if asked.get("max_new_tokens", 0) > self.room:
            raise InvalidInput(
                f"parameter 'max_new_tokens' must be at most {self.room} for this model, not {asked['max_new_tokens']}"
            )
        set_already = {**self.model.generation_config.to_diff_dict(), **asked}
        if not set_already.keys() & {"max_new_tokens", "max_length"}:
            asked["max_new_tokens"] = min(MAX_NEW_TOKENS, self.room)
        if "num_beams" not in set_already:
            asked["num_beams"] = NUM_BEAMS
        if "pad_token_id" not in set_already:
            asked["pad_token_id"] = self.tokenizer.pad_token_id
        return {**asked, **self._language_and_task(options), **self._timing(options)}

    def _timing(self, options: SpeechOptions) -> dict[str, Any]:
        timestamps = self._timestamps(options)
        if timestamps == "char":
            raise InvalidInput(
                "this model knows segments and words, but no characters; set parameter 'return_timestamps' to true or "
                '"word"'
            )
        if timestamps == "word" and not hasattr(self.model.generation_config, "alignment_heads"):
            raise InvalidInput(
                "this model's generation_config.json has no alignment_heads, so it cannot tell when a word was said; "
                "set parameter 'return_timestamps' to true"
            )
        if not timestamps:
            return {}
        return {"return_timestamps": True, **({"return_token_timestamps": True} if timestamps == "word" else {})}

    def _language_and_task(self, options: SpeechOptions) -> dict[str, Any]:
        config = self.model.generation_config
        found: dict[str, Any] = {name: options[name] for name in ("language", "task") if name in options}
        if found and not getattr(config, "is_multilingual", True):
            raise InvalidInput("this model knows English only; leave 'language' and 'task' out")
        if "task" in found and not hasattr(config, "task_to_id"):
            raise InvalidInput("this model's generation_config.json names no tasks; leave 'task' out")
        if "language" in found:
            known = getattr(config, "lang_to_id", {})
            name = found["language"].lower().removeprefix("<|").removesuffix("|>")
            found["language"] = token = f"<|{TO_LANGUAGE_CODE.get(name, name)}|>"
            if token not in known:
                codes = ", ".join(sorted(code[2:-2] for code in known)) or "none"
                raise InvalidInput(f"this model does not know the language {name!r}; choose one of: {codes}")
        return found

"""Generating tokens for a batch of rows that ask for the same, whoever else is in the batch."""

from __future__ import annotations

import math
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_type_hints

import torch
from transformers.generation import logits_process
from transformers.generation.logits_process import LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteriaList

from .decoding import FrequencyPenalty, RowSampler, StopTexts, Unpadded, Watch
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOP_K = 50
"""What `model.generate` samples from where neither the caller nor the model says otherwise."""

WARPERS: tuple[tuple[str, Any, float | None], ...] = (
    ("temperature", logits_process.TemperatureLogitsWarper, 1.0),
    ("top_k", logits_process.TopKLogitsWarper, 0),
    ("top_p", logits_process.TopPLogitsWarper, 1.0),
    ("min_p", logits_process.MinPLogitsWarper, None),
    ("typical_p", logits_process.TypicalLogitsWarper, 1.0),
    ("epsilon_cutoff", logits_process.EpsilonLogitsWarper, 0.0),
    ("eta_cutoff", logits_process.EtaLogitsWarper, 0.0),
)
"""What shapes the distribution before a token is drawn, in transformers' order, each with its neutral value."""

SAMPLING = frozenset(field for field, _, _ in WARPERS)
"""Parameters that mean nothing unless tokens are drawn."""

REPETITION: tuple[tuple[str, Callable[[Any, Any], Any], float], ...] = (
    ("encoder_repetition_penalty", logits_process.EncoderRepetitionPenaltyLogitsProcessor, 1.0),
    ("repetition_penalty", lambda value, _ids: logits_process.RepetitionPenaltyLogitsProcessor(value), 1.0),
    ("no_repeat_ngram_size", lambda value, _ids: logits_process.NoRepeatNGramLogitsProcessor(value), 0),
    ("encoder_no_repeat_ngram_size", logits_process.EncoderNoRepeatNGramLogitsProcessor, 0),
)
"""What looks back at a row's tokens, made of its value and the row's own input, each with its neutral value."""

RANGES: dict[str, tuple[float, float]] = {
    "max_new_tokens": (1, math.inf),
    "max_length": (1, math.inf),
    "min_new_tokens": (0, math.inf),
    "min_length": (0, math.inf),
    "seed": (0, 2**63 - 1),
    "temperature": (1e-4, math.inf),  # below, the scores overflow
    "repetition_penalty": (1e-3, 1e3),
    "encoder_repetition_penalty": (1e-3, 1e3),
    "frequency_penalty": (-2, 2),
    "length_penalty": (-10, 10),
    # A row's tokens are copied so many times for every new one.
    "no_repeat_ngram_size": (0, 1024),
    "encoder_no_repeat_ngram_size": (0, 1024),
    # A row takes the memory of so many rows.
    "num_beams": (1, 16),
    "num_return_sequences": (1, 16),
}
"""The smallest and the largest value of a parameter."""


class GenerateOptions(TypedDict, total=False):
    """The parameters that steer generation; where one is not given, the model's generation_config decides.

    Attributes:
        max_new_tokens: The most tokens to generate, the prompt not counted.
        max_length: The same with a causal model's prompt counted; max_new_tokens goes first.
        do_sample: Draw tokens by their probability, instead of taking the likeliest.
        seed: Makes a sampled answer come again, whatever else is asked at the same time.
        num_return_sequences: Answers for each row.
        stop: Texts after which generation ends; the text itself is kept.
    """

    max_new_tokens: int
    max_length: int
    min_new_tokens: int
    min_length: int
    max_time: float
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
    encoder_repetition_penalty: float
    no_repeat_ngram_size: int
    encoder_no_repeat_ngram_size: int
    num_beams: int
    early_stopping: bool | Literal["never"]
    length_penalty: float
    num_return_sequences: int
    stop: list[str]


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, inputs: dict[str, torch.Tensor], options: GenerateOptions) -> torch.Tensor:
    """Generates for rows with equal options, as `model.generate` does for each of them alone.

    Args:
        model: With `generate`, in evaluation mode.
        tokenizer: Its own; stop texts need it.
        inputs: What `generate` takes, on the model's device: `input_ids` and `attention_mask` of shape [B, tokens].
            A causal model's are padded on the left.
        options: The rows' parameters. `frequency_penalty` may be among them, for causal models.

    Returns:
        Token ids of shape [B * num_return_sequences, tokens]: what `generate` returns, a row's answers together.

    Raises:
        InvalidInput: A parameter's value is out of its range, or does not go with the others.
    """
    asked = checked(options)
    config = model.generation_config
    seed = asked.pop("seed", None)
    if config.pad_token_id is None:
        asked["pad_token_id"] = tokenizer.pad_token_id
    sampled = asked.get("do_sample", config.do_sample)
    beams = asked.get("num_beams") or config.num_beams or 1
    copies = asked.get("num_return_sequences") or config.num_return_sequences or 1
    if not sampled:
        if copies > beams:
            raise InvalidInput(f"num_return_sequences {copies} needs do_sample true, or num_beams of at least {copies}")
        kept = {name: value for name, value in asked.items() if name not in SAMPLING}
        return _run(model, tokenizer, inputs, kept)
    if beams > 1:
        return _beam_sampled(model, tokenizer, inputs, asked, seed)

    inputs = {name: tensor.repeat_interleave(copies, dim=0) for name, tensor in inputs.items()}
    rows = len(next(iter(inputs.values())))
    seeds = [_seed(seed) + row % copies for row in range(rows)]
    with _refusing():
        warpers = _warpers(asked, config)
    # The warpers come before the draw, so they are ours; to `generate` the rest is a choice of the likeliest.
    asked = {name: value for name, value in asked.items() if name not in SAMPLING}
    asked |= {"do_sample": False, "num_return_sequences": 1}
    return _run(model, tokenizer, inputs, asked, *warpers, RowSampler(seeds, str(model.device)))


def checked(options: GenerateOptions) -> dict[str, Any]:
    """The options in the types that transformers asks for: an int is no float to it.

    Raises:
        InvalidInput: A value out of its range.
    """
    asked: dict[str, Any] = dict(options)
    for name, value in asked.items():
        low, high = RANGES.get(name, (-math.inf, math.inf))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not (low <= value <= high and abs(value) < 10**300):  # JSON's NaN is in no range
            span = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise InvalidInput(f"parameter {name!r} must be {span if name in RANGES else 'a number'}, not {value:g}")
    return {name: float(value) if name in FLOATS else value for name, value in asked.items()}


FLOATS = frozenset(name for name, hint in get_type_hints(GenerateOptions).items() if hint is float)


@contextmanager
def _refusing() -> Iterator[None]:
    """What transformers says of a parameter's value is for the caller."""
    try:
        yield
    except ValueError as error:
        raise InvalidInput(str(error).replace("`", "'")) from None


def _run(
    model: Any, tokenizer: Any, inputs: dict[str, torch.Tensor], asked: dict[str, Any], *processors: Any
) -> torch.Tensor:
    """`model.generate`, with what depends on padding replaced by what does not."""
    stop = [text for text in asked.pop("stop", None) or () if text]
    frequency = asked.pop("frequency_penalty", None)
    prompt = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    own: list[Any] = [Watch()]
    with _refusing():
        unpadded = _unpadded(model, inputs, asked)
    if unpadded is not None:
        own.append(unpadded)
    if frequency:
        own.append(FrequencyPenalty(frequency, prompt))
    ends = StoppingCriteriaList([StopTexts(tokenizer, stop, prompt)] if stop else [])
    ids = model.generate(
        **inputs, **asked, logits_processor=LogitsProcessorList([*own, *processors]), stopping_criteria=ends
    )
    assert isinstance(ids, torch.Tensor)  # noqa: S101 (unless return_dict_in_generate, which is no parameter here)
    return ids


def _unpadded(model: Any, inputs: dict[str, torch.Tensor], asked: dict[str, Any]) -> Unpadded | None:
    """The processors of `REPETITION` that were asked for, which `generate` is told to leave out."""
    config = model.generation_config
    found = []
    for field, make, neutral in REPETITION:
        value = asked.get(field, getattr(config, field, None))
        if value is not None and value != neutral:
            asked[field] = neutral
            found.append((make, value))
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if not found or ids is None:
        return None
    kept = torch.ones_like(ids) if mask is None else mask
    own = [row[there.bool()].unsqueeze(0) for row, there in zip(ids, kept, strict=True)]
    processors = [LogitsProcessorList([make(value, row) for make, value in found]) for row in own]
    padding = [0 if model.config.is_encoder_decoder else ids.shape[1] - row.shape[1] for row in own]
    return Unpadded(processors, padding)


def _warpers(asked: dict[str, Any], config: Any) -> list[Any]:
    found = []
    for field, warper, neutral in WARPERS:
        value = asked.get(field, getattr(config, field, None))
        if value is None and field == "top_k":
            value = TOP_K
        if value is not None and value != neutral:
            found.append(warper(value))
    return found


def _beam_sampled(
    model: Any, tokenizer: Any, inputs: dict[str, torch.Tensor], asked: dict[str, Any], seed: int | None
) -> torch.Tensor:
    """Beams draw jointly, from the one generator that torch has: so a row at a time."""
    answers: list[torch.Tensor] = []
    for row in range(len(next(iter(inputs.values())))):
        torch.manual_seed(_seed(seed))
        own = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
        with _refusing():
            _warpers(asked, model.generation_config)  # what cannot be is told here
        answers += list(_run(model, tokenizer, own, dict(asked)))
    padding = model.generation_config.pad_token_id or asked.get("pad_token_id") or 0
    return torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=padding)


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else seed

"""Generating tokens for a batch of rows that ask for the same, whoever else is in the batch."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import torch
from transformers.generation import logits_process

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class RowSampler(logits_process.LogitsProcessor):
    """Draws each row's next token with that row's own random numbers, and leaves only it possible.

    `torch.multinomial` on a whole batch would give a row other numbers in other company. For one row with one
    generator the draws are those of `torch.manual_seed` and `model.generate`.
    """

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of which all but the drawn token's are minus infinity."""
        probabilities = scores.softmax(dim=-1)
        drawn = [
            torch.multinomial(row, 1, generator=generator)
            for row, generator in zip(probabilities, self.generators, strict=True)
        ]
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, torch.stack(drawn), 0.0)


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, inputs: dict[str, torch.Tensor], options: GenerateOptions) -> torch.Tensor:
    """Generates for rows with equal options, as `model.generate` does for each of them alone.

    Args:
        model: With `generate`, in evaluation mode.
        tokenizer: Its own; stop texts need it.
        inputs: What `generate` takes, on the model's device: `input_ids` and `attention_mask` of shape [B, tokens].
        options: The rows' parameters.

    Returns:
        Token ids of shape [B * num_return_sequences, tokens]: what `generate` returns, a row's answers together.
    """
    asked: dict[str, Any] = dict(options)
    seed, stop = asked.pop("seed", None), asked.pop("stop", None)
    if stop:
        asked |= {"stop_strings": stop, "tokenizer": tokenizer}
    if model.generation_config.pad_token_id is None:
        asked["pad_token_id"] = tokenizer.pad_token_id
    sampled = asked.get("do_sample", model.generation_config.do_sample)
    beams = asked.get("num_beams") or model.generation_config.num_beams or 1
    if not sampled:
        return _tensor(model.generate(**inputs, **asked))
    if beams > 1:
        return _beam_sampled(model, inputs, asked, seed)

    copies = asked.pop("num_return_sequences", None) or model.generation_config.num_return_sequences or 1
    inputs = {name: tensor.repeat_interleave(copies, dim=0) for name, tensor in inputs.items()}
    rows = len(inputs["input_ids"])
    seeds = [_seed(seed) + row % copies for row in range(rows)]
    warpers = _warpers(asked, model.generation_config)
    # The warpers come before the draw, so they are ours; to `generate` the rest is a choice of the likeliest.
    asked = {name: value for name, value in asked.items() if name not in {field for field, _, _ in WARPERS}}
    processors = logits_process.LogitsProcessorList([*warpers, RowSampler(seeds, str(model.device))])
    return _tensor(
        model.generate(**inputs, **asked | {"do_sample": False, "num_return_sequences": 1}, logits_processor=processors)
    )


def _warpers(asked: dict[str, Any], config: Any) -> list[Any]:
    found = []
    for field, warper, neutral in WARPERS:
        value = asked.get(field, getattr(config, field, None))
        if value is None and field == "top_k":
            value = TOP_K
        if value is not None and value != neutral:
            found.append(warper(value))
    return found


def _beam_sampled(model: Any, inputs: dict[str, torch.Tensor], asked: dict[str, Any], seed: int | None) -> torch.Tensor:
    """Beams draw jointly, from the one generator that torch has: so a row at a time."""
    answers = []
    for row in range(len(inputs["input_ids"])):
        torch.manual_seed(_seed(seed))
        answers += list(model.generate(**{name: tensor[row : row + 1] for name, tensor in inputs.items()}, **asked))
    padding = model.generation_config.pad_token_id or asked.get("pad_token_id") or 0
    return torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=padding)


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else seed


def _tensor(ids: Any) -> torch.Tensor:
    assert isinstance(ids, torch.Tensor)  # noqa: S101 (unless return_dict_in_generate, which is no parameter here)
    return ids

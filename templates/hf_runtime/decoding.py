"""What takes part in the choice of every token: processors of scores and criteria to end, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.generation.logits_process import LogitsProcessor
from transformers.generation.stopping_criteria import StoppingCriteria

from .waiting import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SLACK = 8
"""Tokens before a stop text that are decoded with it: some tokens have no text of their own."""


class Watch(LogitsProcessor):
    """Ends a generation that nobody waits for any more."""

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores as they are, or raises NobodyWaits."""
        WAITING.check()
        return scores


class RowSampler(LogitsProcessor):
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


class Unpadded(LogitsProcessor):
    """Shows each row's processors that row's own tokens only.

    Transformers takes padding for tokens that were used before (5.23 no longer for repetition_penalty), and would
    punish the padding token, which often is the end of text, in rows with longer neighbours.
    """

    def __init__(self, processors: Sequence[Callable[..., Any]], padding: Sequence[int]) -> None:
        """Takes a list of processors and the number of padding tokens on the left, for every row."""
        self.rows = list(zip(processors, padding, strict=True))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of shape [B * beams, vocabulary]."""
        beams = len(input_ids) // len(self.rows)
        done: list[torch.Tensor] = []
        for index in range(len(input_ids)):
            processors, padding = self.rows[index // beams]
            done.append(processors(input_ids[index : index + 1, padding:], scores[index : index + 1]))
        return torch.cat(done)


class FrequencyPenalty(LogitsProcessor):
    """Lowers the scores of tokens by how often each was generated, as OpenAI defines it."""

    def __init__(self, penalty: float, prompt: int) -> None:
        """Takes the penalty and the number of tokens that were not generated."""
        self.penalty, self.prompt = penalty, prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores less the penalty for each time."""
        new = input_ids[:, self.prompt :]
        times = torch.zeros_like(scores).scatter_add_(1, new, torch.ones_like(new, dtype=scores.dtype))
        return scores - self.penalty * times


class StopTexts(StoppingCriteria):
    """Ends a row when its new text holds one of some texts.

    Transformers' own criterion reads the prompt and the padding too, and goes through the whole vocabulary for every
    new stop text.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], prompt: int) -> None:
        """Takes the texts and the number of tokens that were not generated."""
        self.tokenizer, self.stop, self.prompt = tokenizer, stop, prompt
        self.tail = max(len(text.encode()) for text in stop) + SLACK  # a token has at least one byte

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row is done: bool of shape [B]."""
        new = input_ids[:, max(self.prompt, input_ids.shape[1] - self.tail) :]
        texts = [text_of(self.tokenizer, row) for row in new]
        done = [any(text in found for text in self.stop) for found in texts]
        return torch.tensor(done, device=input_ids.device)


def text_of(tokenizer: Any, ids: Any) -> str:
    """Tokens as text that stop texts are looked for in: special tokens included, which may be meant."""
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

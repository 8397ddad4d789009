"""A causal language model: prompts of one batch continued, each as if it were alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack, cast

import torch
from transformers.utils import logging as transformers_logging

from . import best_of, causality, torch_text
from .batch import grouped
from .causal_options import DEFAULTS, HINTS, CausalOptions, defaults, length_in
from .continuation import Continuation, Reader, ends
from .details import checked as checked_details
from .details import details
from .error import InvalidInput
from .generation import SAMPLING, checked, generate
from .torch_text_model import TorchTextModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .generation import GenerateOptions
    from .settings import Settings

MAX_NEW_TOKENS = 4096
"""The limit of a request, where config.pbtxt has none."""


@dataclass(frozen=True)
class _Prompt:
    """A tokenized prompt, and the smallest and largest number of tokens to put behind it."""

    ids: list[int]
    at_least: int
    at_most: int


class CausalModel(TorchTextModel):
    """The model of a folder with its head for the next token.

    Attributes:
        positions: Tokens that prompt and answer may have together.
        limit: New tokens that a request may ask for.
        defaults: The operator's, for parameters that a request leaves out; they go before the model's own.
        takes_company: Whether prompts can be continued together.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForCausalLM")
        self.tokenizer.padding_side = self.tokenizer.truncation_side = "left"
        self.positions = torch_text.positions(self.model)
        self.limit = settings.positive("max_new_tokens", MAX_NEW_TOKENS)
        self.defaults = defaults(settings.parameters.get("generation_defaults", ""))
        config = self.model.generation_config
        self.own = {name: value for name in HINTS if (value := getattr(config, name, None)) is not None}
        self.ends = ends(config)
        # generate() comments on every combination of parameters, once for each request.
        transformers_logging.set_verbosity_error()
        warnings.filterwarnings("ignore", module="transformers")
        self.takes_company = causality.takes_company(self.model)

    def complete(self, texts: Sequence[str], **options: Unpack[CausalOptions]) -> list[list[Continuation]]:
        """Continues texts: for each as many times as `num_return_sequences` says.

        Raises:
            InvalidInput: A prompt too long, or a parameter that cannot be.
        """
        prefix = options.get("prefix", getattr(self.config, "prefix", None) or "")
        given = {"add_special_tokens": options["add_special_tokens"]} if "add_special_tokens" in options else {}
        hidden = len(self.tokenizer(prefix, add_special_tokens=False)["input_ids"]) if prefix else 0
        ids = [self.prompt(prefix + text, options, **given) for text in texts]
        found = self.follow(ids, options, hidden)
        if not options.get("return_full_text", True):
            return found
        return [[new.behind(text) for new in row] for text, row in zip(texts, found, strict=True)]

    def prompt(self, text: str, options: CausalOptions, **given: Any) -> list[int]:
        """The tokens of a prompt; at least one, for the model must begin somewhere."""
        if "truncate" in options:
            if options["truncate"] < 1:
                raise InvalidInput(f"parameter 'truncate' must be at least 1, not {options['truncate']}")
            given |= {"truncation": True, "max_length": min(options["truncate"], self.positions)}
        ids: list[int] = self.tokenizer(text, verbose=False, **given)["input_ids"]
        if "truncate" in options:
            ids = ids[-options["truncate"] :]
        if not ids:
            begin = self.model.generation_config.bos_token_id
            if begin is None:
                raise InvalidInput("the prompt is empty, and this model has no token to begin a text with")
            ids = [begin]
        return ids

    def follow(self, prompts: Sequence[list[int]], options: CausalOptions, hidden: int = 0) -> list[list[Continuation]]:
        """Continues tokenized prompts; `hidden` tokens of each are not the caller's and do not count for max_length."""
        checked(options)
        rows = [self._fitted(ids, options, hidden) for ids in prompts]

        # Beside a longer prompt there may be less room, and one row's end must not be its neighbour's.
        def alike(index: int) -> tuple[int, ...]:
            row = rows[index]
            return (row.at_least, row.at_most, 0 if self.takes_company else index)

        groups = grouped(range(len(rows)), key=alike)
        answers: dict[int, list[Continuation]] = {}
        for group in groups:
            answers.update(zip(group, self._generated([rows[index] for index in group], options), strict=True))
        return [answers[index] for index in range(len(rows))]

    @cached_property
    def sees_only_back(self) -> bool:
        """Whether the likelihood of tokens can be told; see `causality`."""
        return causality.sees_only_back(self)

    def _fitted(self, ids: list[int], options: CausalOptions, hidden: int) -> _Prompt:
        own = len(ids) - hidden
        at_most = self._most(own, options)
        if options.get("handle_long_generation") == "hole" and len(ids) + at_most > self.positions:
            if at_most >= self.positions:
                raise InvalidInput(
                    f"handle_long_generation cannot make room for {at_most} new tokens: this model has "
                    f"{self.positions} positions in all; lower max_new_tokens"
                )
            ids = ids[at_most - self.positions :]
        if len(ids) > self.positions:
            raise InvalidInput(
                f"the prompt has {len(ids)} tokens, but this model has {self.positions} positions; shorten it, or "
                "keep only its end with truncate"
            )
        # The last token is only written, never read: it takes no position.
        at_most = min(at_most, self.positions - len(ids) + 1)
        at_least = self._length("min_new_tokens", "min_length", own, options) or 0
        return _Prompt(ids, min(max(at_least, 0), at_most), at_most)

    def _most(self, own: int, options: CausalOptions) -> int:
        asked = length_in(cast("Mapping[str, Any]", options), "max_new_tokens", "max_length", own)
        if asked is None:
            wanted = self._length("max_new_tokens", "max_length", own, {})
            return min(max(DEFAULTS["max_new_tokens"] if wanted is None else wanted, 1), self.limit)
        if asked > self.limit:
            raise InvalidInput(
                f"{asked} new tokens are more than the {self.limit} that this model generates in one request; lower "
                "max_new_tokens (the limit is max_new_tokens in config.pbtxt)"
            )
        if asked < 1:
            raise InvalidInput(
                f"max_length {options['max_length']} leaves no room for an answer: the prompt alone has {own} tokens; "
                "raise it, or give max_new_tokens instead"
            )
        return asked

    def _length(self, new: str, total: str, own: int, options: CausalOptions) -> int | None:
        """A number of new tokens: what the caller says, else the operator, else the model."""
        layers = (cast("Mapping[str, Any]", options), self.defaults, self.own)
        found = (length_in(layer, new, total, own) for layer in layers)
        return next((value for value in found if value is not None), None)

    def _generated(self, rows: Sequence[_Prompt], options: CausalOptions) -> list[list[Continuation]]:
        width = max(len(row.ids) for row in rows)
        padding = self.tokenizer.pad_token_id or 0
        inputs = {
            "input_ids": torch.tensor([[padding] * (width - len(row.ids)) + row.ids for row in rows]),
            "attention_mask": torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]),
        }
        asked = self._asked(options) | {"max_new_tokens": rows[0].at_most, "min_new_tokens": rows[0].at_least}
        drawn = best_of.checked(options.get("best_of", 1), asked, self.model.generation_config)
        if drawn > 1:
            asked["num_return_sequences"] = drawn
        wants_scores = self._wants_scores(options, drawn)
        self._refuse_company(asked)
        ids = generate(
            self.model,
            self.tokenizer,
            {name: tensor.to(self.device) for name, tensor in inputs.items()},
            cast("GenerateOptions", asked),
        )
        reader = Reader(
            self.tokenizer,
            self.ends,
            [text for text in asked.get("stop") or () if text],
            skip_special_tokens=options.get("skip_special_tokens", True),
            clean_up_tokenization_spaces=options.get("clean_up_tokenization_spaces"),
        )
        copies = len(ids) // len(rows)
        new = [
            replace(reader.read(row), prompt_tokens=len(rows[index // copies].ids))
            for index, row in enumerate(ids[:, width:].tolist())
        ]
        if wants_scores:
            written = [(rows[index // copies].ids, one.ids) for index, one in enumerate(new)]
            told = details(self, written, options)
            new = [replace(one, details=own) for one, own in zip(new, told, strict=True)]
        found = [new[start : start + copies] for start in range(0, len(new), copies)]
        if drawn == 1:
            return found
        chosen = [best_of.best(row, options.get("seed")) for row in found]
        return [[one if options.get("details") else replace(one, details={}, others=())] for one in chosen]

    def _wants_scores(self, options: CausalOptions, drawn: int) -> bool:
        """Whether a request needs to know how likely tokens are.

        Raises:
            InvalidInput: It does, and nothing tells.
        """
        checked_details(options)
        wanted = options.get("details", False) or drawn > 1
        if wanted and not self.sees_only_back:
            raise InvalidInput(
                "this model reads texts as a whole, so it cannot tell how likely single tokens were; leave details and "
                "best_of out"
            )
        return wanted

    def _refuse_company(self, asked: Mapping[str, Any]) -> None:
        """Raises InvalidInput where a prompt would be several rows, and the model cannot have them."""
        config = self.model.generation_config
        several = ("num_return_sequences", "num_beams")
        if not self.takes_company and any((asked.get(name) or getattr(config, name) or 1) > 1 for name in several):
            raise InvalidInput(
                "this model follows one text at a time only; leave num_return_sequences, num_beams and best_of out"
            )

    def _asked(self, options: CausalOptions) -> dict[str, Any]:
        """What `generate` is to be told, lengths apart."""
        told = {name: value for name, value in options.items() if name in HINTS or name == "frequency_penalty"}
        told = {**self.defaults, **told}
        told.pop("max_length", None)
        told["min_length"] = 0  # the model's own, which would count padding too
        if "do_sample" not in options and any(
            name in options for name in SAMPLING
        ):  # who gives a temperature wants it used
            told["do_sample"] = True
        for name in ("do_sample", "temperature"):
            if name not in self.own:
                told.setdefault(name, DEFAULTS[name])
        return told

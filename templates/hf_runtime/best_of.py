"""Several texts drawn for each prompt, of which the likeliest is the answer."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from .error import InvalidInput
from .generation import RANGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .continuation import Continuation


def checked(best_of: int, asked: Mapping[str, Any], config: Any) -> int:
    """How many texts are to be drawn for each prompt; 1 where there is nothing to choose from.

    Args:
        best_of: What the request says.
        asked: What `generate` is to be told.
        config: The model's generation_config, for what is not in there.

    Raises:
        InvalidInput: Too many, or parameters by which there would not be several, or not of one prompt.
    """
    most = RANGES["num_return_sequences"][1]
    if not 1 <= best_of <= most:
        raise InvalidInput(f"parameter 'best_of' must be between 1 and {most:g}, not {best_of}")
    if best_of == 1:
        return 1

    def value(name: str) -> Any:
        return asked.get(name, getattr(config, name, None))

    if not value("do_sample"):
        raise InvalidInput("best_of chooses among texts that are drawn; send do_sample true with it")
    for name in ("num_beams", "num_return_sequences"):
        if (value(name) or 1) > 1:
            raise InvalidInput(f"best_of and {name} do not go together; leave one of them out")
    return best_of


def best(drawn: Sequence[Continuation], seed: int | None) -> Continuation:
    """The text whose tokens have the highest mean log-probability, which tells the others in its details.

    Each comes again by itself with a seed that is as much higher as there are texts before it.
    """
    seeds = [None if seed is None else seed + place for place in range(len(drawn))]
    seeded = [replace(text, details={**text.details, "seed": own}) for text, own in zip(drawn, seeds, strict=True)]
    ranked = sorted(seeded, key=lambda text: -fmean(token["logprob"] for token in text.details["tokens"]))
    return replace(ranked[0], others=tuple(ranked[1:]))

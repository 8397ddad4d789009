"""A model that Triton serves, as the shim sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub2triton.tasks.spec import TaskSpec
    from hub2triton.tensor import TensorSpec


GIVEN_UP = "its process died again and again; the log of serve-repo says more"
"""What callers are told of a model that serve-repo no longer loads again. It stands in the reason that Triton gives."""


class State(Enum):
    """What a model can do now. One that recovers was ready before, and is being loaded again."""

    READY = "ready"
    LOADING = "loading"
    RECOVERING = "recovering"
    FAILED = "failed"


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        reason: Why it failed to load; empty otherwise.
        inputs: By the model's own configuration, `parameters_json` included; empty until it is ready.
        max_batch_size: Rows in one request to Triton.
        max_text_length: Characters in one text.
        max_queue_size: Requests to Triton that may be under way at once.
    """

    name: str
    state: State
    reason: str = ""
    spec: TaskSpec | None = None
    model_id: str = ""
    revision: str = ""
    dtype: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    max_batch_size: int = 1
    max_text_length: int = 1_000_000
    max_queue_size: int = 512

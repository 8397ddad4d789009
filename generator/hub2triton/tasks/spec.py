"""What a task is: the one description that the generator, the shim, the README and the tests read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from hub2triton.tasks.parameter import ParameterSpec
    from hub2triton.tasks.payload import Payload
    from hub2triton.tensor import TensorSpec

Json = Any
"""A value that a JSON response can hold; numpy arrays and numbers included."""

Row = Mapping[str, "str | bytes | list[str]"]
"""The inputs of one row, by tensor name: one text or one sequence of bytes, or a list of texts."""

Answer = dict[str, "np.ndarray[Any, Any]"]
"""The outputs of one row, by tensor name, without the batch dimension and without padding."""


class Profile(Enum):
    """For whom a response is shaped: the same answer has other JSON forms for other clients.

    TOOLKIT is what Hugging Face's own inference container answers; the others are what the parsers of
    huggingface_hub (PYTHON; PYTHON_0 before its version 1) and @huggingface/inference (JAVASCRIPT) require.
    """

    TOOLKIT = "toolkit"
    PYTHON = "python"
    PYTHON_0 = "python-0"
    JAVASCRIPT = "javascript"


class Library(Enum):
    """The library that loads a model, by its name on the Hub, with the packages its models import."""

    TRANSFORMERS = "transformers"
    SENTENCE_TRANSFORMERS = "sentence-transformers"

    @property
    def requirements(self) -> tuple[str, ...]:
        """Lines for a requirements file."""
        return {
            Library.TRANSFORMERS: ("torch>=2.4", "transformers>=5.0,<6"),
            Library.SENTENCE_TRANSFORMERS: ("torch>=2.4", "transformers>=5.0,<6", "sentence-transformers>=5.2"),
        }[self]


@dataclass(frozen=True)
class Variant:
    """How a task is served with the models of one library.

    Attributes:
        template: The file in templates/models/ that becomes model.py.
        outputs: What that model.py answers.
        requirements: Lines for a requirements file, of what it imports besides the library.
    """

    template: str
    outputs: tuple[TensorSpec, ...]
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """A parameter of config.pbtxt that one task alone has; the runtime reads it from `Settings.parameters`.

    Attributes:
        value: What is written when a model is generated.
        description: For the operator; it becomes a comment in config.pbtxt.
    """

    name: str
    value: str
    description: str


@dataclass(frozen=True)
class Need:
    """Files without which a model does not fit a task: one of `any_of`, glob patterns, must be there."""

    any_of: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Call:
    """A payload turned into rows, and the way back.

    Attributes:
        rows: What the model is asked, one row or many.
        parameters: For `parameters_json`.
        decode: Makes the response's JSON of the rows' answers, in their order.
    """

    rows: Sequence[Row]
    parameters: Mapping[str, Json]
    decode: Callable[[Sequence[Answer], Profile], Json]


@dataclass(frozen=True)
class TaskSpec:
    """One task.

    Attributes:
        name: Hugging Face's name of it.
        summary: One sentence for people.
        aliases: Other names that mean it.
        variants: The ways to serve it, by library.
        library: The library a model is loaded with unless its files say otherwise.
        pattern: A regular expression of further names that mean it and say more, such as translation_en_to_fr; a model
            keeps the name it was given.
        kinds: What sentence-transformers calls models that this task is the natural one for.
        architectures: Glob patterns of the class names in config.json that this task is the natural one for.
        needs: What a model's files must hold.
        inputs: What its models take, `parameters_json` apart.
        parameters: What `parameters` may hold.
        max_batch_size: Rows; what Triton's batcher merges up to.
        settings: What config.pbtxt holds besides what every task has there.
        encode: Makes rows of a payload; raises PayloadError.
        example: A payload that works with every model of the task.
        root_forms: Keys that may stand at the root of a body in place of `inputs`, as some clients send them.
    """

    name: str
    summary: str
    variants: Mapping[Library, Variant]
    library: Library
    inputs: tuple[TensorSpec, ...]
    parameters: tuple[ParameterSpec, ...]
    encode: Callable[[Payload], Call]
    example: Mapping[str, Json]
    max_batch_size: int
    root_forms: tuple[tuple[str, ...], ...] = ()
    aliases: tuple[str, ...] = ()
    pattern: str | None = None
    kinds: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    needs: tuple[Need, ...] = field(default=())
    settings: tuple[Setting, ...] = ()

    def example_json(self) -> str:
        """The example as a request's body."""
        return json.dumps(dict(self.example), ensure_ascii=False)

    def __post_init__(self) -> None:
        if self.library not in self.variants:
            raise ValueError(f"{self.name}: no variant for its own library")

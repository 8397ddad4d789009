"""What a task is: the one description that the generator, the shim, the README and the tests read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from hub2triton.tasks.graph import Graph
    from hub2triton.tasks.media import Link
    from hub2triton.tasks.parameter import ParameterSpec
    from hub2triton.tasks.payload import Payload
    from hub2triton.tasks.schema import Exchange, Schema
    from hub2triton.tensor import TensorSpec

Json = Any
"""A value that a JSON response can hold; numpy arrays and numbers included."""

Row = Mapping[str, "str | bytes | Link | list[str]"]
"""The inputs of one row, by tensor name: one text or one sequence of bytes, or a list of texts.

Bytes that the caller sent as a link stand there as a Link; the shim has put the content in its place before the model
is asked.
"""

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
    DIFFUSERS = "diffusers"
    CUSTOM = "custom"

    @property
    def requirements(self) -> tuple[str, ...]:
        """Lines for a requirements file."""
        return {
            Library.TRANSFORMERS: ("torch>=2.4", "transformers>=5.0,<6"),
            Library.SENTENCE_TRANSFORMERS: ("torch>=2.4", "transformers>=5.0,<6", "sentence-transformers>=5.2"),
            Library.DIFFUSERS: ("torch>=2.4", "transformers>=5.0,<6", "diffusers>=0.35", "accelerate>=1.0"),
            Library.CUSTOM: (),
        }[self]

    @property
    def file(self) -> str:
        """The file by which a model of this library is known."""
        return {
            Library.TRANSFORMERS: "config.json",
            Library.SENTENCE_TRANSFORMERS: "modules.json",
            Library.DIFFUSERS: "model_index.json",
            Library.CUSTOM: "handler.py",
        }[self]

    def loads(self, made: Library | None) -> bool:
        """Whether this library can load the models of another one; None made them where no known file is there."""
        if self is Library.CUSTOM:  # the model's own code loads what it finds
            return True
        if self is Library.DIFFUSERS:
            return made is Library.DIFFUSERS
        return made in (Library.TRANSFORMERS, Library.SENTENCE_TRANSFORMERS)


class Media(Enum):
    """What a request's body may be instead of JSON; `file` is what people might call such a file."""

    IMAGE = "image"
    AUDIO = "audio"
    ANY = "any"

    @property
    def file(self) -> str:
        """A file's name for an example."""
        return {Media.IMAGE: "image.jpg", Media.AUDIO: "audio.flac", Media.ANY: "body.bin"}[self]

    @property
    def types(self) -> tuple[str, ...]:
        """The media types that callers give to such a body."""
        image, audio, other = "image/*", "audio/*", "application/octet-stream"
        own = {Media.IMAGE: (image,), Media.AUDIO: (audio,), Media.ANY: (image, audio)}[self]
        return (*own, other)


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
class Endpoint:
    """A route of another protocol, such as OpenAI's, that the models of a task answer too.

    Attributes:
        path: What is posted to, such as /v1/embeddings. The body's key `model` says which model is meant.
        encode: Makes rows of the body, which is the `root` of the payload; raises PayloadError.
        summary: One sentence for people.
        schema: What its bodies hold; the same for all tasks that have the path.
    """

    path: str
    encode: Callable[[Payload], Call]
    summary: str
    schema: Exchange


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
        heads: Glob patterns of the class names in config.json that fit this task, where another of transformers' known
            heads would not; none where any does.
        labels: Glob patterns, in lower case, of which a label in config.json must fit one.
        needs: What a model's files must hold.
        inputs: What its models take, `parameters_json` apart.
        parameters: What `parameters` may hold.
        max_batch_size: Rows; what Triton's batcher merges up to.
        settings: What config.pbtxt holds besides what every task has there.
        encode: Makes rows of a payload; raises PayloadError.
        schema: What its bodies hold.
        example: A payload that works with every model of the task.
        root_forms: Keys that may stand at the root of a body in place of `inputs`, as some clients send them.
        media: What the body may be besides JSON; it becomes the `inputs`, and parameters come by the query.
        endpoints: Routes of other protocols.
        media_alone: Whether such a body asks for all that a request must hold, so that it makes the best example.
        onnx: How it is served from an exported graph; None where only torch can do it.
    """

    name: str
    summary: str
    variants: Mapping[Library, Variant]
    library: Library
    inputs: tuple[TensorSpec, ...]
    parameters: tuple[ParameterSpec, ...]
    encode: Callable[[Payload], Call]
    schema: Schema
    example: Mapping[str, Json]
    max_batch_size: int
    root_forms: tuple[tuple[str, ...], ...] = ()
    aliases: tuple[str, ...] = ()
    pattern: str | None = None
    kinds: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    needs: tuple[Need, ...] = field(default=())
    settings: tuple[Setting, ...] = ()
    media: Media | None = None
    media_alone: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    onnx: Graph | None = None

    def endpoint(self, path: str) -> Endpoint | None:
        """The endpoint of a path, where the task has it."""
        return next((endpoint for endpoint in self.endpoints if endpoint.path == path), None)

    def example_json(self) -> str:
        """The example as a request's body."""
        return json.dumps(dict(self.example), ensure_ascii=False)

    def example_options(self) -> str:
        """The options of a curl command that sends the example, or a file where that is all a request must hold."""
        if self.media is not None and self.media_alone:
            return f"--data-binary @{self.media.file}"
        return f"-d {shlex.quote(self.example_json())}"

    def __post_init__(self) -> None:
        if self.library not in self.variants:
            raise ValueError(f"{self.name}: no variant for its own library")

"""One row of a request: what a model reads its input from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import json_text
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


@dataclass(frozen=True)
class Row:
    """The input tensors of one row, without the batch dimension.

    Attributes:
        tensors: Arrays of the dims that config.pbtxt declares; strings are objects of type bytes.
        max_text_length: Characters a text may have.
    """

    tensors: Mapping[str, np.ndarray[Any, Any]]
    max_text_length: int

    def raw(self, name: str) -> bytes:
        """The single element of a tensor of dims [1], as it was sent."""
        return bytes(self.tensors[name].reshape(-1)[0])

    def text(self, name: str) -> str:
        """The single element of a tensor of dims [1], as text.

        Raises:
            InvalidInput: Not UTF-8, or too long.
        """
        return self._decoded(name, self.raw(name))

    def texts(self, name: str) -> list[str]:
        """The elements of a tensor of dims [-1], as texts.

        Raises:
            InvalidInput: One of them is not UTF-8, or too long.
        """
        return [self._decoded(name, bytes(value)) for value in self.tensors[name].reshape(-1)]

    def json(self, name: str) -> Any:
        """The single element of a tensor of dims [1], parsed as JSON.

        Raises:
            InvalidInput: Not JSON, or not Unicode.
        """
        return json_text.parsed(self.text(name), f"input {name!r}")

    def _decoded(self, name: str, value: bytes) -> str:
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"input {name!r} is not valid UTF-8: {error}") from None
        if len(text) > self.max_text_length:
            raise InvalidInput(
                f"input {name!r} has {len(text):,} characters; this model takes at most {self.max_text_length:,} "
                "(max_text_length in config.pbtxt)"
            )
        return text

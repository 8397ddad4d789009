"""A stand-in for the module of this name, which exists only inside a Triton model process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TritonError:
    INTERNAL: ClassVar[int] = 1
    INVALID_ARG: ClassVar[int] = 3
    CANCELLED: ClassVar[int] = 7

    message: str
    code: int = INTERNAL


@dataclass(frozen=True)
class Tensor:
    name: str
    data: np.ndarray[Any, Any]

    def as_numpy(self) -> np.ndarray[Any, Any]:
        return self.data


@dataclass(frozen=True)
class InferenceRequest:
    inputs: dict[str, np.ndarray[Any, Any]]
    outputs: tuple[str, ...]
    cancelled: bool = False

    def is_cancelled(self) -> bool:
        return self.cancelled

    def requested_output_names(self) -> list[str]:
        return list(self.outputs)


@dataclass(frozen=True)
class InferenceResponse:
    output_tensors: list[Tensor] = field(default_factory=list)
    error: TritonError | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs by name; an answer with an error has none, and must not be read as one."""
        assert self.error is None, self.error
        return {tensor.name: tensor.data for tensor in self.output_tensors}

    @property
    def refusal(self) -> TritonError:
        """The error that this answer must be."""
        assert self.error is not None, self.output_tensors
        assert self.output_tensors == []
        return self.error


class Logger:
    errors: ClassVar[list[str]] = []

    @staticmethod
    def log_error(message: str) -> None:
        Logger.errors.append(message)


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return Tensor(name, request.inputs[name]) if name in request.inputs else None

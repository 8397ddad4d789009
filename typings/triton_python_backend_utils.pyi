"""The part of Triton's Python API that hf_runtime uses; Triton provides the module inside a model's process."""

from collections.abc import Sequence
from typing import Any

import numpy as np

class TritonError:
    INTERNAL: int
    INVALID_ARG: int
    CANCELLED: int
    UNAVAILABLE: int
    def __init__(self, message: str, code: int = ...) -> None: ...

class Tensor:
    def __init__(self, name: str, data: np.ndarray[Any, Any]) -> None: ...
    def as_numpy(self) -> np.ndarray[Any, Any]: ...

class InferenceRequest:
    def requested_output_names(self) -> list[str]: ...
    def is_cancelled(self) -> bool: ...

class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor], error: TritonError | None = ...) -> None: ...

class Logger:
    @staticmethod
    def log_info(message: str) -> None: ...
    @staticmethod
    def log_error(message: str) -> None: ...

def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None: ...

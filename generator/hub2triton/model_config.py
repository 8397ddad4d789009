"""config.pbtxt, read as Triton reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse(text: str) -> Any:
    """The `ModelConfig` message of a config.pbtxt.

    Raises:
        ValueError: It is no valid model configuration; the text says where.
    """
    # Imported late: generate-repo --help must not wait for gRPC, which comes with these modules.
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from None


def parameters(config: Any) -> Mapping[str, str]:
    """The parameters of a `ModelConfig`, by name."""
    return {key: value.string_value for key, value in config.parameters.items()}

"""What tasks that read text have in common: the text tensor, the texts of a payload, what their models need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.parameter import ParameterSpec, snake_case
from hub2triton.tasks.payload import Payload, PayloadError
from hub2triton.tasks.spec import Need
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = TensorSpec("text", DataType.BYTES, (1,), "one UTF-8 text per row; texts of any length batch together")

TOKENIZER = Need(
    ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model", "*/tokenizer.json"),
    "it has no tokenizer, so it does not read text",
)
WEIGHTS = Need(
    ("*.safetensors", "*.bin", "*.onnx"),  # the last is among a model's files with --onnx only
    "it has no PyTorch weights (*.safetensors or *.bin)",
)

TRUNCATE = ParameterSpec(
    "truncate",
    bool,
    "Cut a text that is longer than the model's window (default), or refuse it: false, do_not_truncate.",
    choices=("do_not_truncate", "longest_first", "only_first", "only_second"),
    aliases=("truncation",),
)


def items(payload: Payload, read: Callable[[Any, str], Any] | None = None) -> tuple[list[Any], bool]:
    """The inputs of a payload that holds one item or a list of them, and whether it is a single one.

    Args:
        payload: Its inputs are read.
        read: Checks an item, which it gets with a name for it; without it an item is a text.

    Raises:
        PayloadError: An empty list, too long a list, or an item that is none.
    """
    read = read or payload.text
    inputs = payload.inputs
    if not isinstance(inputs, list):
        return [read(inputs, '"inputs"')], True
    if not inputs:
        raise PayloadError('"inputs" is an empty list; send at least one item')
    if len(inputs) > payload.limits.rows:
        raise PayloadError(f"inputs has {len(inputs):,} items; the limit is {payload.limits.rows:,}", status=413)
    return [read(item, f"inputs[{index}]") for index, item in enumerate(inputs)], False


def cut_or_whole(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters for a model that reads one text at a time: `truncate` is true or false, whatever its word was."""
    if "truncate" in parameters:  # there is no second text that could be cut
        parameters["truncate"] = parameters["truncate"] not in (False, "do_not_truncate", "only_second")
    return parameters


def with_tokenizer_arguments(payload: Payload) -> Payload:
    """The payload with `tokenizer_kwargs` among its parameters, where other clients put them, and without `padding`.

    Feature-extraction's pipeline calls them `tokenize_kwargs`.

    Padding is the model's own business here: it changes no answer.
    """
    parameters = dict(payload.parameters)
    for key in list(parameters):
        if snake_case(key) in ("tokenizer_kwargs", "tokenize_kwargs") and isinstance(parameters[key], dict):
            parameters = {**parameters.pop(key), **parameters}
    parameters.pop("padding", None)
    return replace(payload, parameters=parameters)

"""The parameters of a request, checked against what a model's `predict` takes.

A model declares its parameters once, as keyword arguments with types; this module reads them from there.
"""

from __future__ import annotations

import inspect
import json
import types
from typing import TYPE_CHECKING, Any, Literal, Union, Unpack, get_args, get_origin, get_type_hints

from . import json_text
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def accepted(predict: Callable[..., object]) -> dict[str, Any]:
    """The names and types of the keyword arguments of `predict`, also of `**options: Unpack[SomeTypedDict]`."""
    hints = get_type_hints(predict)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(predict).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            found[name] = hints.get(name, Any)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD and get_origin(hints.get(name)) is Unpack:
            found |= get_type_hints(get_args(hints[name])[0])
    return found


def parse(text: str, types_by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the value of the input `parameters_json`.

    A parameter whose value is null counts as not given.

    Raises:
        InvalidInput: Not a JSON object, an unknown name, or a value of the wrong type.
    """
    given = json_text.parsed(text, "parameters_json") if text.strip() else {}
    if not isinstance(given, dict):
        raise InvalidInput(f"parameters_json must be a JSON object, not {_kind(given)}")
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if name not in types_by_name:
            known = ", ".join(sorted(types_by_name)) or "none"
            raise InvalidInput(f"unknown parameter {name!r}; this model takes: {known}")
        if not conforms(value, types_by_name[name]):
            raise InvalidInput(f"parameter {name!r} must be {describe(types_by_name[name])}, not {json.dumps(value)}")
    return given


def conforms(value: object, hint: Any) -> bool:
    """Whether a JSON value fits a type such as `int | None`, `Literal["a", "b"]` or `list[str]`."""
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(conforms(value, choice) for choice in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(conforms(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def describe(hint: Any) -> str:
    """A type in the words of JSON: `a whole number`, `true or false`, `"left" or "right"`."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(choice) for choice in get_args(hint) if choice is not type(None))
    if origin is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(hint))
    if origin is list:
        return f"a list, each item {describe(get_args(hint)[0])}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", dict: "an object"}
    return words.get(origin or hint, str(hint))


def _kind(value: object) -> str:
    words = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return words[type(value)]

"""The `parameters` of a payload: their names in all spellings, and their types."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.payload import Payload, PayloadError, kind

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of a task.

    Attributes:
        type: The JSON type: bool, int, float, str or dict, or `list` for a list of strings; a single string where a
            list is meant becomes a list of one.
        description: For people; says what happens where it is not given.
        choices: The only strings it may be, in lower case; callers may write them in any case. Where the type is not
            str, they stand beside the values of that type, as "never" beside true and false.
        aliases: Other names, besides the camelCase one, which is always understood.
        minimum: The smallest number it may be.
        commas: Whether a string where a list is meant is cut at its commas.
        objects: Whether a list is one of objects.
    """

    name: str
    type: type
    description: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    minimum: float | None = None
    commas: bool = False
    objects: bool = False


NESTED = frozenset({"generate", "generate_kwargs", "generate_parameters", "generation_parameters"})
"""Names that clients give to an object of parameters inside the parameters."""

IGNORED = frozenset({"options", "stream", "model", "use_cache", "wait_for_model", "timeout"})
"""What clients of hosted endpoints and of transformers' pipelines send and that means nothing here."""

TEXTS = (str, list)
"""Types whose values in a URL are taken as they stand."""

TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", dict: "an object"}


def merged(payload: Payload, specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    """The parameters of a payload under their own names, checked.

    Parameters may also stand at the root of the body, as some clients send them; `parameters` wins. Unknown
    root keys are passed over, as the reference server does; an unknown parameter is an error.

    Raises:
        PayloadError: An unknown parameter, or a value that its parameter cannot have.
    """
    by_name = {alias: spec for spec in specs for alias in (spec.name, *spec.aliases)}
    found: dict[str, Any] = {}
    for key, value in payload.root.items():
        spec = by_name.get(snake_case(key))
        if spec is not None and value is not None:
            found[spec.name] = _checked(spec, value)
    for key, value in _flat(payload.parameters, by_name):
        spec = by_name.get(snake_case(key))
        if spec is None:
            if snake_case(key) in IGNORED:
                continue
            raise PayloadError(_unknown(key, by_name))
        if value is not None:
            found[spec.name] = _checked(spec, value)
    return found


def from_query(query: Iterable[tuple[str, str]], specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    """The parameters that a URL's query names, with the JSON types that they are meant to have.

    Args:
        query: Names and values, in their order. A name that comes more than once makes a list.
        specs: The parameters whose types are known; other values stay the texts that they are.
    """
    by_name = {alias: spec for spec in specs for alias in (spec.name, *spec.aliases)}
    found: dict[str, list[Any]] = {}
    for key, value in query:
        spec = by_name.get(snake_case(key))
        found.setdefault(key, []).append(value if spec is None or spec.type in TEXTS else literal(value))
    return {key: values if len(values) > 1 else values[0] for key, values in found.items()}


def literal(text: str) -> Any:
    """A value of a URL: the JSON that it is, or the text.

    Raises:
        PayloadError: It names half of a surrogate pair, which no text can hold.
    """
    try:
        found = json.loads(text.lower() if text.lower() in ("true", "false", "null") else text)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise PayloadError("the URL is not valid Unicode: it holds a lone surrogate") from None
    except (ValueError, RecursionError):  # also a number of thousands of digits, and endless nesting
        return text
    return found


def _flat(parameters: Mapping[str, Any], names: Container[str]) -> Iterator[tuple[str, Any]]:
    for key, value in parameters.items():
        if snake_case(key) in NESTED and snake_case(key) not in names and isinstance(value, dict):
            yield from value.items()
        else:
            yield key, value


def snake_case(name: str) -> str:
    """`topK` and `top_k` are one name."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _checked(spec: ParameterSpec, value: Any) -> Any:
    if isinstance(value, str) and value.lower() in spec.choices:
        return value.lower()
    if spec.choices and spec.type is str:
        raise PayloadError(f"parameter {spec.name!r} must be one of {', '.join(spec.choices)}, not {kind(value)}")
    if spec.type is list:
        return _items(spec, value)
    wrong_bool = isinstance(value, bool) and spec.type is not bool  # True is an int to Python
    fits = isinstance(value, int | float) if spec.type is float else isinstance(value, spec.type)
    if wrong_bool or not fits:
        words = ", ".join((TYPE_WORDS[spec.type], *map(repr, spec.choices)))
        raise PayloadError(f"parameter {spec.name!r} must be {words}, not {kind(value)}")
    if spec.minimum is not None and value < spec.minimum:
        raise PayloadError(f"parameter {spec.name!r} must be at least {spec.minimum:g}, not {value}")
    return value


def _items(spec: ParameterSpec, value: Any) -> list[Any]:
    if isinstance(value, str) and not spec.objects:
        return [part.strip() for part in value.split(",") if part.strip()] if spec.commas else [value]
    if not isinstance(value, list) or not all(isinstance(item, dict if spec.objects else str) for item in value):
        items = "objects" if spec.objects else "strings"
        raise PayloadError(f"parameter {spec.name!r} must be a list of {items}, not {kind(value)}")
    return value


def _unknown(key: str, names: Sequence[str] | dict[str, ParameterSpec]) -> str:
    close = difflib.get_close_matches(snake_case(key), list(names), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown parameter {key!r}{hint} (this task takes: {', '.join(sorted(names)) or 'none'})"

"""A request's JSON body, and the errors it can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SHOWN = 60


class PayloadError(Exception):
    """The payload cannot be answered; the text is for the caller.

    Attributes:
        status: The HTTP status that says it best: 400, or 413 for what is too large.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """How much one request may hold.

    Attributes:
        text_length: Characters in one text.
        rows: Items in a list of inputs.
    """

    text_length: int = 1_000_000
    rows: int = 4096


@dataclass(frozen=True)
class Payload:
    """A body in the form of Hugging Face Inference Endpoints.

    Attributes:
        inputs: The value of `inputs`.
        parameters: The value of `parameters`, and under it what the query of the URL names; empty where there is none.
        root: The other keys of the body.
        limits: What its sizes are held against.
        profile: For whom it is answered; the defaults of some parameters depend on it.
        model: The name of the model that is asked; some protocols repeat it in their answers.
        body: All keys of the body, as they were sent.
    """

    inputs: Any
    parameters: Mapping[str, Any]
    root: Mapping[str, Any]
    limits: Limits
    profile: Profile = Profile.TOOLKIT
    model: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(
        cls,
        body: Any,
        limits: Limits,
        root_forms: Sequence[tuple[str, ...]] = (),
        profile: Profile = Profile.TOOLKIT,
        query: Mapping[str, Any] | None = None,
    ) -> Payload:
        """Takes a parsed body apart.

        Args:
            body: What the JSON held.
            limits: What its sizes are held against.
            root_forms: Keys that may stand at the root in place of `inputs`; together they become the inputs.
            profile: For whom it is answered.
            query: Parameters from the URL; those of the body win.

        Raises:
            PayloadError: Not an object, no `inputs`, or `parameters` that is no object.
        """
        if not isinstance(body, dict):
            raise PayloadError(f'the body must be a JSON object such as {{"inputs": …}}, not {kind(body)}')
        root = {str(key): value for key, value in body.items()}
        form = next((form for form in root_forms if "inputs" not in root and root.keys() >= set(form)), None)
        if form is not None:
            root["inputs"] = {key: root.pop(key) for key in form}
        if "inputs" not in root:
            given = ", ".join(repr(key) for key in list(root)[:8]) or "none"
            raise PayloadError(f'the body has no key "inputs" (keys given: {given})')
        inputs = root.pop("inputs")
        parameters = root.pop("parameters", None)
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict):
            raise PayloadError(f'"parameters" must be an object, not {kind(parameters)}')
        return cls(inputs, {**(query or {}), **parameters}, root, limits, profile, body=body)

    def text(self, value: Any, where: str) -> str:
        """Checks that a value is a text of acceptable length."""
        if not isinstance(value, str):
            raise PayloadError(f"{where} must be a string, not {kind(value)}")
        if len(value) > self.limits.text_length:
            raise PayloadError(
                f"{where} has {len(value):,} characters; the limit is {self.limits.text_length:,}", status=413
            )
        try:  # JSON can write half of a surrogate pair, which no encoding can
            value.encode()
        except UnicodeEncodeError:
            raise PayloadError(f"{where} is not valid Unicode: it holds a lone surrogate") from None
        return value

    def texts(self, value: Any, where: str) -> list[str]:
        """Checks that a value is a list of texts; an empty one is fine."""
        if not isinstance(value, list):
            raise PayloadError(f"{where} must be a list of strings, not {kind(value)}")
        if len(value) > self.limits.rows:
            raise PayloadError(f"{where} has {len(value):,} items; the limit is {self.limits.rows:,}", status=413)
        return [self.text(item, f"{where}[{index}]") for index, item in enumerate(value)]


def kind(value: object) -> str:
    """A JSON value's type in words, with the value itself where it is short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) <= MAX_SHOWN else "a string"
    if isinstance(value, bytes):
        return "a file"
    return "a list" if isinstance(value, list) else "an object"

"""OpenAI's embeddings, answered by models of sentence-embeddings and feature-extraction."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.media import base64_of
from hub2triton.tasks.parameter import ParameterSpec
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.spec import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from hub2triton.tasks.spec import Answer, Call, Json, Profile

FORMATS = ("float", "base64")
SILENT = ("model", "user", "encoding_format", "input", "input_type")
"""Keys of the body that are no parameters of the model."""

COUNT_TOKENS = ParameterSpec("count_tokens", bool, "Also count the tokens of each text; default false.")

SCHEMA = schema.Exchange(
    schema.record(
        {"input": schema.TEXTS},
        {
            "encoding_format": {"enum": [*FORMATS, None]},
            "dimensions": {"type": ["integer", "null"], "minimum": 1},
            "user": schema.TEXT,
        },
    ),
    schema.record(
        {
            "object": {"const": "list"},
            "data": schema.array(
                schema.record(
                    {
                        "object": {"const": "embedding"},
                        "index": schema.INTEGER,
                        "embedding": schema.either(schema.VECTOR, schema.TEXT),
                    }
                )
            ),
            "model": schema.TEXT,
            "usage": schema.record({"prompt_tokens": schema.INTEGER, "total_tokens": schema.INTEGER}),
        }
    ),
    {"input": ["Deep learning is a subset of machine learning."]},
)


def endpoints(ask: Callable[[Payload, Any], Call]) -> tuple[Endpoint, ...]:
    """The routes for embeddings.

    Args:
        ask: Makes a call of a payload in Hugging Face's form and a function that decodes its answers, which gets
            them, a profile and whether the input was a single text (`single`).
    """
    encode = partial(_encode, ask=ask)
    summary = "Embeddings as OpenAI's clients ask for them."
    return tuple(Endpoint(path, encode, summary, SCHEMA) for path in ("/v1/embeddings", "/embeddings"))


def vectors_of(answers: Sequence[Answer]) -> list[Any]:
    """One vector a text: a token-level model's is the mean of its tokens, as sentence-transformers has it."""
    return [
        answer["embedding"] if "embedding" in answer else answer["last_hidden_state"].mean(axis=0) for answer in answers
    ]


def _encode(payload: Payload, *, ask: Callable[[Payload, Any], Call]) -> Call:
    root = payload.root
    given = root.get("input")
    if isinstance(given, list) and given and not isinstance(given[0], str):
        raise PayloadError('"input" must hold texts: another model\'s token numbers mean nothing to this one')
    if not isinstance(given, str | list) or not given:
        raise PayloadError(f'"input" must be a text or a list of texts, not {kind(given) if given else "nothing"}')
    encoding = root.get("encoding_format") or FORMATS[0]
    if encoding not in FORMATS:
        raise PayloadError(f'"encoding_format" must be float or base64, not {kind(encoding)}')
    parameters = {key: value for key, value in root.items() if key not in SILENT}
    asked = replace(payload, inputs=given, parameters={**parameters, COUNT_TOKENS.name: True}, root={})
    return ask(asked, partial(_decode, model=payload.model, encoding=encoding))


def _decode(answers: Sequence[Answer], profile: Profile, *, single: bool, model: str, encoding: str) -> Json:  # noqa: ARG001
    vectors = vectors_of(answers)
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if encoding == "base64" else vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(int(answer["token_count"][0]) for answer in answers)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _base64(vector: np.ndarray[Any, Any]) -> str:
    """The vector as base64 of little-endian float32."""
    return base64_of(vector.astype("<f4").tobytes())

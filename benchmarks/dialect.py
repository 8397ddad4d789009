"""How a server wants to be asked, and where its answer holds what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Json = Any
    Answer = Any
    """What a model says of one text: a vector, a label or a text."""


@dataclass(frozen=True)
class Dialect:
    """A route with its bodies.

    Attributes:
        route: The path to post to.
        ask: Texts and parameters, as the body for them.
        read: A body that answers some texts, as one answer for each.
        lists: Whether one request may carry some hundred texts.
    """

    route: str
    ask: Callable[[Sequence[str], Mapping[str, Json]], Json]
    read: Callable[[Json], list[Answer]]
    lists: bool = True

    def body(self, texts: Sequence[str], parameters: Mapping[str, Json]) -> bytes:
        """The JSON text that asks for them."""
        return json.dumps(self.ask(texts, parameters)).encode()


def _hugging_face(texts: Sequence[str], parameters: Mapping[str, Json]) -> Json:
    inputs = texts[0] if len(texts) == 1 else list(texts)
    return {"inputs": inputs, "parameters": dict(parameters)} if parameters else {"inputs": inputs}


def _openai(texts: Sequence[str], _parameters: Mapping[str, Json]) -> Json:
    return {"input": list(texts)}


def _kserve(texts: Sequence[str], _parameters: Mapping[str, Json]) -> Json:
    return {"inputs": [{"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": list(texts)}]}


def _vectors(found: Json) -> list[Answer]:
    vectors = found["embeddings"]
    return vectors if isinstance(vectors[0], list) else [vectors]


def _labels(found: Json) -> list[Answer]:
    return [each["label"] for each in found]


def _texts(found: Json) -> list[Answer]:
    return [(each[0] if isinstance(each, list) else each)["generated_text"] for each in found]


def _rows(found: Json) -> list[Answer]:
    (output,) = found["outputs"]
    width = output["shape"][1]
    rows = [output["data"][first : first + width] for first in range(0, len(output["data"]), width)]
    return rows if output["datatype"] == "FP32" else [row[0] for row in rows]


def _openai_vectors(found: Json) -> list[Answer]:
    return [each["embedding"] for each in found["data"]]


def _likeliest(found: Json) -> list[Answer]:
    return [max(scores, key=lambda each: float(each["score"]))["label"] for scores in found["data"]]


def hugging_face(route: str = "/", *, lists: bool = True) -> dict[str, Dialect]:
    """The payloads of Hugging Face's inference containers, by task."""
    reads = {"sentence-embeddings": _vectors, "text-classification": _labels, "text-generation": _texts}
    return {task: Dialect(route, _hugging_face, read, lists) for task, read in reads.items()}


INFINITY = {
    "sentence-embeddings": Dialect("/embeddings", _openai, _openai_vectors),
    "text-classification": Dialect("/classify", _openai, _likeliest),
}
KSERVE = {
    task: Dialect("/v2/models/model/infer", _kserve, _rows, lists=False)
    for task in ("sentence-embeddings", "text-classification")
}

"""The routes of text-embeddings-inference: /embed, /similarity and /rerank, and /rerank as Cohere and Jina have it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import schema
from hub2triton.tasks.openai_embeddings import vectors_of
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.spec import Endpoint, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub2triton.tasks.spec import Answer, Call, Json

RANKS = ("/rerank", "/v1/rerank", "/v2/rerank")

TRUNCATION = {"truncate": schema.FLAG, "truncation_direction": schema.TEXT, "prompt_name": schema.TEXT}
EMBED = schema.Exchange(
    schema.record(
        {"inputs": schema.TEXTS},
        {"normalize": schema.FLAG, "dimensions": {"type": ["integer", "null"], "minimum": 1}, **TRUNCATION},
    ),
    schema.array(schema.VECTOR),
    {"inputs": ["Deep learning is a subset of machine learning."]},
)
SIMILARITY = schema.Exchange(
    schema.record({"inputs": schema.SIMILARITY}, TRUNCATION),
    schema.VECTOR,
    {"inputs": {"source_sentence": "That is a happy person", "sentences": ["That is a happy dog", "It rains"]}},
)
RANK_LIST = schema.array(schema.record({"index": schema.INTEGER, "score": schema.NUMBER}, {"text": schema.TEXT}))
SCORING = {"raw_scores": schema.FLAG, "truncate": schema.FLAG}
RERANK = schema.Exchange(
    schema.either(
        schema.record(
            {"query": schema.TEXT, "texts": schema.array(schema.TEXT, least=1)}, {"return_text": schema.FLAG, **SCORING}
        ),
        schema.record(
            {
                "query": schema.TEXT,
                "documents": schema.array(schema.either(schema.TEXT, schema.record({"text": schema.TEXT})), least=1),
            },
            {
                "top_n": {"type": ["integer", "null"], "minimum": 1},
                "return_documents": {"type": "boolean"},
                **SCORING,
            },
        ),
    ),
    schema.either(
        RANK_LIST,
        schema.record(
            {
                "model": schema.TEXT,
                "results": schema.array(
                    schema.record(
                        {"index": schema.INTEGER, "relevance_score": schema.NUMBER},
                        {"document": schema.record({"text": schema.TEXT})},
                    )
                ),
            }
        ),
    ),
    {"query": "What is deep learning?", "texts": ["Deep learning is a subset of machine learning.", "It rains."]},
)


def embed(ask: Callable[[Payload, Any], Call]) -> Endpoint:
    """/embed: always a list of vectors.

    Args:
        ask: As in `openai_embeddings.endpoints`.
    """

    def encode(payload: Payload) -> Call:
        return ask(_with_inputs(payload), _vectors)

    return Endpoint("/embed", encode, "Embeddings as clients of text-embeddings-inference ask for them.", EMBED)


def similarity(ask: Callable[[Payload], Call]) -> Endpoint:
    """/similarity: a list of numbers.

    Args:
        ask: Makes a call of a payload in Hugging Face's form.
    """

    def encode(payload: Payload) -> Call:
        payload = _with_inputs(payload)
        if not isinstance(payload.inputs, dict) or not {"source_sentence", "sourceSentence"} & payload.inputs.keys():
            raise PayloadError(
                f'"inputs" must be {{"source_sentence": "…", "sentences": ["…"]}}, not {kind(payload.inputs)}'
            )
        call = ask(payload)
        # Of all profiles, it is that of the clients whose form is the bare list.
        return replace(call, decode=lambda answers, _: call.decode(answers, Profile.PYTHON))

    return Endpoint(
        "/similarity", encode, "Similarities as clients of text-embeddings-inference ask for them.", SIMILARITY
    )


def rerank(ask: Callable[[Payload], Call]) -> tuple[Endpoint, ...]:
    """/rerank: texts with their scores, the best first; in Cohere's form where they are called documents.

    Args:
        ask: Makes a call of a payload in Hugging Face's form, whose answer is a list of ranks.
    """
    encode = partial(_rerank, ask=ask)
    return tuple(Endpoint(path, encode, "Texts sorted by how well they answer a query.", RERANK) for path in RANKS)


def _rerank(payload: Payload, *, ask: Callable[[Payload], Call]) -> Call:
    root = {key: value for key, value in payload.root.items() if key != "model"}
    if "documents" not in root:
        return ask(replace(payload, inputs=root, root={}))
    documents = root.pop("documents")
    top, shown = root.pop("top_n", None), root.pop("return_documents", False)
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise PayloadError(f'"top_n" must be a whole number of at least 1, not {kind(top)}')
    if not isinstance(shown, bool):
        raise PayloadError(f'"return_documents" must be true or false, not {kind(shown)}')
    texts = [_text(document) for document in documents] if isinstance(documents, list) else documents
    if not isinstance(texts, list):
        raise PayloadError(f'"documents" must be a list of texts, not {kind(documents)}')
    call = ask(replace(payload, inputs={**root, "texts": texts}, root={}))

    def decode(answers: Sequence[Answer], profile: Profile) -> Json:
        results: list[dict[str, Json]] = []
        for rank in call.decode(answers, profile)[:top]:
            document = {"document": {"text": texts[rank["index"]]}} if shown else {}
            results.append({"index": rank["index"], "relevance_score": rank["score"], **document})
        return {"model": payload.model, "results": results}

    return replace(call, decode=decode)


def _text(document: Any) -> Any:
    """A document's text; some clients wrap it into an object."""
    return document["text"] if isinstance(document, dict) and "text" in document else document


def _with_inputs(payload: Payload) -> Payload:
    """The body of one of these routes as a payload of Hugging Face's form: its parameters stand at the root."""
    parameters = {key: value for key, value in payload.root.items() if key not in ("inputs", "model", "parameters")}
    nested = payload.root.get("parameters") or {}
    if "inputs" not in payload.root:
        raise PayloadError('the body has no key "inputs"')
    if not isinstance(nested, dict):
        raise PayloadError(f'"parameters" must be an object, not {kind(nested)}')
    return replace(payload, inputs=payload.root["inputs"], parameters={**parameters, **nested}, root={})


def _vectors(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    return vectors_of(answers)

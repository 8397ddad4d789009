"""How well texts answer a query: sentence-ranking, by a cross-encoder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import graph, schema, tei
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TOKENIZER, WEIGHTS, items
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, TaskSpec, Variant
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMS = (
    '["a", "b"] for a pair, [["a", "b"], …] for pairs, or {"query": "…", "texts": ["…"]} for texts to sort by how well '
    "they answer a query"
)
PAIR = 2

RANKING = (
    ParameterSpec("raw_scores", bool, "The model's own numbers, before its activation such as the sigmoid or not."),
    ParameterSpec(
        "truncate",
        bool,
        "Cut a pair that is longer than the model's window (default), or refuse it.",
        aliases=("truncation",),
    ),
)
RETURN_DOCUMENTS = ParameterSpec(
    "return_documents",
    bool,
    "With query and texts: give each text beside its score; default false.",
    aliases=("return_text",),
)
"""Not among the task's parameters, which are the model's: this one shapes the response alone."""

PAIRS = schema.either(
    schema.array(schema.TEXT, PAIR, PAIR), schema.array(schema.array(schema.TEXT, PAIR, PAIR), least=1)
)
SCHEMA = schema.Schema(
    schema.either(
        PAIRS,
        schema.record({"sentences": PAIRS}),
        schema.record({"query": schema.TEXT, "texts": schema.array(schema.TEXT, least=1)}),
    ),
    schema.either(
        schema.record({"scores": schema.either(schema.NUMBER, schema.array(schema.NUMBER))}),
        tei.RANK_LIST,
    ),
    schema.parameters((RETURN_DOCUMENTS,)),
)


def encode_ranking(payload: Payload) -> Call:
    """A pair of texts, a list of pairs, or a query and the texts to sort."""
    inputs = payload.inputs
    if isinstance(inputs, dict) and "sentences" in inputs:
        if {"query", "texts"} & inputs.keys():
            raise PayloadError('"inputs" must have either "sentences" or "query" and "texts", not both')
        inputs = inputs["sentences"]
    elif isinstance(inputs, dict):
        return _ranks(payload, inputs)
    return _pairs(replace(payload, inputs=inputs))


def decode_pairs(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    """`{"scores": number}` for a pair, and `{"scores": [n]}` for pairs, in their order."""
    scores = [answer["score"][0] for answer in answers]
    return {"scores": scores[0] if single else scores}


def decode_ranks(answers: Sequence[Answer], profile: Profile, *, texts: Sequence[str] | None) -> Json:  # noqa: ARG001
    """`[{"score", "index"}]`, the highest score first, and each with its text where `texts` are given."""
    scores = answers[0]["score"]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    ranks: list[dict[str, Any]] = [{"score": scores[index], "index": index} for index in order]
    return ranks if texts is None else [{**rank, "text": texts[rank["index"]]} for rank in ranks]


def _pairs(payload: Payload) -> Call:
    inputs = payload.inputs
    if not isinstance(inputs, list):
        raise PayloadError(f'"inputs" must be {FORMS}, not {kind(inputs)}')
    one = bool(inputs) and not any(isinstance(item, list) for item in inputs)
    found, _ = items(replace(payload, inputs=[inputs]) if one else payload, partial(_pair, payload))
    parameters = merged(payload, (*RANKING, RETURN_DOCUMENTS))
    parameters.pop(RETURN_DOCUMENTS.name, None)  # a pair's one text needs no repeating
    return Call(found, parameters, partial(decode_pairs, single=one))


def _pair(payload: Payload, value: Any, where: str) -> Row:
    texts = payload.texts(value, where)
    if len(texts) != PAIR:
        raise PayloadError(
            f"{where} must be a pair of texts, not {len(texts)}; for one text against others send "
            '{"query": "…", "texts": ["…"]}'
        )
    return {"query": texts[0], "texts": texts[1:]}


def _ranks(payload: Payload, inputs: dict[str, Any]) -> Call:
    parameters = dict(inputs)  # some clients put them here
    missing = [key for key in ("query", "texts") if parameters.get(key) is None]
    if missing:
        raise PayloadError(f'"inputs" has no {" and no ".join(map(repr, missing))}; send {FORMS}')
    query = payload.text(parameters.pop("query"), '"query"')
    texts = payload.texts(parameters.pop("texts"), "texts")
    if not texts:
        raise PayloadError('"texts" is an empty list; send at least one text to rank')
    asked = merged(replace(payload, parameters={**parameters, **payload.parameters}), (*RANKING, RETURN_DOCUMENTS))
    shown = texts if asked.pop(RETURN_DOCUMENTS.name, False) else None
    return Call([{"query": query, "texts": texts}], asked, partial(decode_ranks, texts=shown))


SENTENCE_RANKING = TaskSpec(
    name="sentence-ranking",
    summary="How well texts answer a query, or how much two texts have to do with each other.",
    aliases=("text-ranking",),
    variants={
        Library.SENTENCE_TRANSFORMERS: Variant(
            "sentence_ranking.py.jinja",
            (TensorSpec("score", DataType.FP32, (-1,), "how well each text answers the query, in the texts' order"),),
        )
    },
    library=Library.SENTENCE_TRANSFORMERS,
    kinds=("CrossEncoder",),
    heads=("*ForSequenceClassification",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TensorSpec("query", DataType.BYTES, (1,), "the UTF-8 text that the others are compared with"),
        TensorSpec("texts", DataType.BYTES, (-1,), "the UTF-8 texts to score; rows may differ in their number"),
    ),
    parameters=RANKING,
    encode=encode_ranking,
    schema=SCHEMA,
    example={"inputs": ["A man is eating food.", "A man eats something."]},
    max_batch_size=32,
    root_forms=(("query", "texts"),),
    endpoints=tei.rerank(encode_ranking),
    onnx=graph.of_sentences("text-classification"),
)

SPECS = (SENTENCE_RANKING,)

"""Texts as vectors: sentence-embeddings, sentence-similarity and feature-extraction.

The three answer each other's questions where they can, since clients do not know which one serves: a request
for similarities can be put to any of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hub2triton.tasks import graph, openai_embeddings, schema, tei
from hub2triton.tasks.openai_embeddings import COUNT_TOKENS, vectors_of
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import Payload, PayloadError, kind
from hub2triton.tasks.reading import TEXT, TOKENIZER, TRUNCATE, WEIGHTS, cut_or_whole, with_tokenizer_arguments
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

Vector = np.ndarray[Any, Any]

TRUNCATION = (
    TRUNCATE,
    ParameterSpec("truncation_direction", str, "The side that is cut; default right.", choices=("left", "right")),
)
EMBEDDING = (
    ParameterSpec("normalize", bool, "Scale vectors to unit length, or not; default as the model was made."),
    ParameterSpec("prompt_name", str, "One of the model's own prompts, put before each text; default none."),
    *TRUNCATION,
    ParameterSpec("dimensions", int, "Keep the first so many numbers of each vector; default all.", minimum=1),
)
COUNTED = (*EMBEDDING, COUNT_TOKENS)
VECTOR = TensorSpec("embedding", DataType.FP32, (-1,), "the text's vector")
STATES = TensorSpec("last_hidden_state", DataType.FP32, (-1, -1), "a vector for every token: [tokens, hidden size]")
TOKEN_COUNT = TensorSpec("token_count", DataType.INT32, (1,), "the text's tokens with count_tokens, else 0")

FORMS = schema.either(schema.TEXTS, schema.record({"sentences": schema.TEXTS}), schema.SIMILARITY)
SIMILARITIES = schema.record({"similarities": schema.VECTOR})
VECTORS = schema.array(schema.VECTOR)


def encode_embeddings(payload: Payload) -> Call:
    """A text, a list of texts, or a question for similarities."""
    return _texts(payload, decode_embeddings)


def encode_features(payload: Payload) -> Call:
    """As `encode_embeddings`, answered in the form of feature-extraction."""
    return _texts(payload, decode_features)


def encode_similarity(payload: Payload) -> Call:
    """A source sentence and the sentences to compare it with, or a list whose first is the source."""
    inputs = payload.inputs
    if isinstance(inputs, list):
        if not inputs:
            raise PayloadError('"inputs" is an empty list; the first item is the source sentence')
        source, *sentences = payload.texts(inputs, "inputs")
    elif _asks_similarity(inputs):
        source, sentences = _similarity(payload)
    else:
        raise PayloadError(
            f'"inputs" must be {{"source_sentence": "…", "sentences": ["…"]}} or a list of strings, not {kind(inputs)}'
        )
    row: Row = {"source_sentence": source, "sentences": sentences}
    return Call([row], _parameters(payload, EMBEDDING), _decode_row_of_similarities)


def decode_embeddings(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:
    """`{"embeddings": [H] or [n][H]}`; clients' own parsers, which ask for features, need bare [n][H]."""
    vectors = [answer["embedding"] for answer in answers]
    if profile is not Profile.TOOLKIT:
        return vectors
    return {"embeddings": vectors[0] if single else vectors}


def decode_features(answers: Sequence[Answer], profile: Profile, *, single: bool) -> Json:  # noqa: ARG001
    """[1][tokens][H] for a text and n of them for a list; pooled models give [1][H] and [n][H]."""
    if "embedding" in answers[0]:
        return [answer["embedding"] for answer in answers]
    states = [[answer["last_hidden_state"]] for answer in answers]
    return states[0] if single else states


def decode_similarities(similarities: Vector, profile: Profile) -> Json:
    """`{"similarities": […]}`, or the bare list that clients' parsers need."""
    return {"similarities": similarities} if profile is Profile.TOOLKIT else similarities


def _texts(payload: Payload, decode: Any) -> Call:
    inputs = payload.inputs
    if _asks_similarity(inputs):
        source, sentences = _similarity(payload)
        rows: list[Row] = [{"text": text} for text in (source, *sentences)]
        return Call(rows, _parameters(payload, COUNTED), _decode_rows_of_vectors)
    if isinstance(inputs, dict) and "sentences" in inputs:
        inputs = inputs["sentences"]
    single = not isinstance(inputs, list)
    texts = [payload.text(inputs, '"inputs"')] if single else payload.texts(inputs, "inputs")
    if not texts:
        raise PayloadError('"inputs" is an empty list; send at least one text')
    return Call([{"text": text} for text in texts], _parameters(payload, COUNTED), partial(decode, single=single))


def _parameters(payload: Payload, specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    return cut_or_whole(merged(with_tokenizer_arguments(payload), specs))


def _asks_similarity(inputs: Any) -> bool:
    return isinstance(inputs, dict) and bool({"source_sentence", "sourceSentence"} & inputs.keys())


def _similarity(payload: Payload) -> tuple[str, list[str]]:
    inputs = payload.inputs
    source = payload.text(inputs.get("source_sentence", inputs.get("sourceSentence")), '"source_sentence"')
    sentences = inputs.get("sentences")
    if isinstance(sentences, str):
        sentences = [sentences]
    if sentences is None:
        raise PayloadError('"inputs" has a source_sentence but no "sentences" to compare it with')
    return source, payload.texts(sentences, "sentences")


def _decode_row_of_similarities(answers: Sequence[Answer], profile: Profile) -> Json:
    return decode_similarities(answers[0]["similarity"], profile)


def _decode_rows_of_vectors(answers: Sequence[Answer], profile: Profile) -> Json:
    source, *others = vectors_of(answers)
    return decode_similarities(_cosines(source, others), profile)


def _cosines(source: Vector, others: Sequence[Vector]) -> Vector:
    if not others:
        return np.zeros(0, dtype=np.float32)
    matrix = np.stack(others)
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(source)
    cosines: Vector = (matrix @ source) / np.maximum(norms, np.finfo(np.float32).tiny)
    return cosines


ENDPOINTS = (*openai_embeddings.endpoints(_texts), tei.embed(_texts), tei.similarity(encode_embeddings))

SENTENCE_EMBEDDINGS = TaskSpec(
    name="sentence-embeddings",
    summary="One vector for every text.",
    variants={Library.SENTENCE_TRANSFORMERS: Variant("sentence_embeddings.py.jinja", (VECTOR, TOKEN_COUNT))},
    library=Library.SENTENCE_TRANSFORMERS,
    kinds=("SentenceTransformer",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=COUNTED,
    encode=encode_embeddings,
    schema=schema.Schema(
        FORMS, schema.either(schema.record({"embeddings": schema.either(schema.VECTOR, VECTORS)}), SIMILARITIES)
    ),
    endpoints=ENDPOINTS,
    example={"inputs": "Deep learning is a subset of machine learning."},
    max_batch_size=32,
    onnx=graph.of_sentences("feature-extraction"),
)

SENTENCE_SIMILARITY = TaskSpec(
    name="sentence-similarity",
    summary="How close sentences are to a source sentence, by cosine.",
    variants={
        Library.SENTENCE_TRANSFORMERS: Variant(
            "sentence_similarity.py.jinja",
            (TensorSpec("similarity", DataType.FP32, (-1,), "cosine to the source, one for each sentence"),),
        )
    },
    library=Library.SENTENCE_TRANSFORMERS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(
        TensorSpec("source_sentence", DataType.BYTES, (1,), "the UTF-8 text that the others are compared with"),
        TensorSpec("sentences", DataType.BYTES, (-1,), "the UTF-8 texts to compare; rows may differ in their number"),
    ),
    parameters=EMBEDDING,
    encode=encode_similarity,
    schema=schema.Schema(schema.either(schema.SIMILARITY, schema.array(schema.TEXT, least=1)), SIMILARITIES),
    endpoints=(tei.similarity(encode_similarity),),
    example={
        "inputs": {
            "source_sentence": "That is a happy person",
            "sentences": ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
        }
    },
    max_batch_size=32,
    onnx=graph.of_sentences("feature-extraction"),
)

FEATURE_EXTRACTION = TaskSpec(
    name="feature-extraction",
    summary="A vector for every token of a text; for every text with a sentence-transformers model.",
    variants={
        Library.TRANSFORMERS: Variant("feature_extraction.py.jinja", (STATES, TOKEN_COUNT, COUNT)),
        Library.SENTENCE_TRANSFORMERS: Variant("sentence_embeddings.py.jinja", (VECTOR, TOKEN_COUNT)),
    },
    library=Library.TRANSFORMERS,
    architectures=("*Model",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=COUNTED,
    encode=encode_features,
    schema=schema.Schema(
        FORMS,
        schema.either(VECTORS, schema.array(VECTORS), schema.array(schema.array(VECTORS)), SIMILARITIES),
    ),
    endpoints=ENDPOINTS,
    example={"inputs": "Today is a sunny day, and I am going to get some ice cream."},
    max_batch_size=32,
    onnx=graph.of_sentences("feature-extraction"),
)

SPECS = (FEATURE_EXTRACTION, SENTENCE_EMBEDDINGS, SENTENCE_SIMILARITY)

"""Tasks about single tokens: token-classification labels them, fill-mask finds the missing ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hub2triton.tasks import graph, schema
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import PayloadError, kind
from hub2triton.tasks.reading import TEXT, TOKENIZER, TRUNCATE, WEIGHTS, cut_or_whole, items, with_tokenizer_arguments
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, Row, TaskSpec, Variant
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.tasks.payload import Payload

TOKEN_PARAMETERS = (
    ParameterSpec(
        "aggregation_strategy",
        str,
        "How tokens become entities; default none: every token by itself.",
        choices=("none", "simple", "first", "average", "max"),
    ),
    ParameterSpec("ignore_labels", list, 'Labels to leave out; default ["O"].'),
    ParameterSpec(
        "stride",
        int,
        "Read a text longer than the model's window by windows that overlap in so many tokens; default is to cut it.",
        minimum=0,
    ),
    ParameterSpec(
        "is_split_into_words",
        bool,
        "Whether a text is given as the list of its words; default false.",
    ),
    ParameterSpec(
        "delimiter", str, "What stands between the words of a text where places are counted; default one space."
    ),
)
TEXT_OR_WORDS = replace(TEXT, description=f"{TEXT.description}; with is_split_into_words a JSON list of words")
FILL_PARAMETERS = (
    ParameterSpec("top_k", int, "How many tokens for each mask; default 5.", aliases=("topk",), minimum=1),
    ParameterSpec("targets", list, "The only words to choose from; default all that the model has a token for."),
    TRUNCATE,
)

PLACE = {
    "score": schema.NUMBER,
    "word": schema.TEXT,
    "start": {"type": ["integer", "null"]},
    "end": {"type": ["integer", "null"]},
}
ENTITIES = schema.array(
    schema.either(
        schema.record({"entity": schema.TEXT, "index": schema.INTEGER, **PLACE}),
        schema.record({"entity_group": schema.TEXT, **PLACE}),
    )
)
CANDIDATES = schema.array(
    schema.record({"score": schema.NUMBER, "token": schema.INTEGER, "token_str": schema.TEXT, "sequence": schema.TEXT})
)


def encode_tokens(payload: Payload) -> Call:
    """A text or a list of them; with `is_split_into_words` a list of words or a list of such lists."""
    parameters = merged(payload, TOKEN_PARAMETERS)
    rows, single = _split_texts(payload) if parameters.get("is_split_into_words") else _texts(payload)
    if payload.profile is Profile.JAVASCRIPT:  # its parser takes grouped entities only
        parameters.setdefault("aggregation_strategy", "simple")
    grouped = parameters.get("aggregation_strategy", "none") != "none"
    return Call(rows, parameters, partial(decode_entities, single=single, grouped=grouped))


def decode_entities(answers: Sequence[Answer], profile: Profile, *, single: bool, grouped: bool) -> Json:  # noqa: ARG001
    """A list of entities for each text; a single text's list by itself."""
    lists = [_entities(answer, grouped=grouped) for answer in answers]
    return lists[0] if single else lists


def encode_masks(payload: Payload) -> Call:
    """A text with a mask, or a list of such."""
    texts, _ = items(payload)
    parameters = cut_or_whole(merged(with_tokenizer_arguments(payload), FILL_PARAMETERS))
    return Call([{"text": text} for text in texts], parameters, decode_masks)


def decode_masks(answers: Sequence[Answer], profile: Profile) -> Json:  # noqa: ARG001
    """The candidates of each text, in a list for each mask where there are several; one text's by themselves.

    Like the pipeline it makes no difference between a text and a list of one.
    """
    texts = [_candidates(answer) for answer in answers]
    return texts[0] if len(texts) == 1 else texts


def _texts(payload: Payload) -> tuple[list[Row], bool]:
    texts, single = items(payload)
    return [{"text": text} for text in texts], single


def _split_texts(payload: Payload) -> tuple[list[Row], bool]:
    """Texts that are lists of words. One alone is answered in a list, too, as the pipeline does it."""
    inputs = payload.inputs
    if isinstance(inputs, list) and inputs and not any(isinstance(item, list) for item in inputs):
        return [{"text": _words(payload, inputs, "inputs")}], False
    found, single = items(payload, partial(_words, payload))
    return [{"text": words} for words in found], single


def _words(payload: Payload, value: Any, where: str) -> str:
    """A list of words as JSON."""
    if not isinstance(value, list):
        raise PayloadError(f"{where} must be a list of words where is_split_into_words is true, not {kind(value)}")
    words = [payload.text(word, f"{where}[{index}]") for index, word in enumerate(value)]
    return payload.text(json.dumps(words, ensure_ascii=False), where)


def _entities(answer: Answer, *, grouped: bool) -> list[Json]:
    columns = (answer[name].tolist() for name in ("entity", "score", "index", "word", "start", "end"))
    found = []
    for entity, score, index, word, start, end in zip(*columns, strict=True):
        place = {"word": word.decode(), "start": _number(start), "end": _number(end)}
        if grouped:
            found.append({"entity_group": entity.decode(), "score": score, **place})
        else:
            found.append({"entity": entity.decode(), "score": score, "index": index, **place})
    return found


def _number(value: int) -> int | None:
    """A place in the text; tokenizers without offsets give -1 for all."""
    return None if value < 0 else value


def _candidates(answer: Answer) -> list[Json]:
    columns = (answer[name].tolist() for name in ("mask_index", "score", "token", "token_str", "sequence"))
    masks = [
        [
            {"score": score, "token": token, "token_str": word.decode(), "sequence": sequence.decode()}
            for _, score, token, word, sequence in rows
        ]
        for _, rows in groupby(zip(*columns, strict=True), key=lambda row: row[0])
    ]
    return masks[0] if len(masks) == 1 else masks


TOKEN_CLASSIFICATION = TaskSpec(
    name="token-classification",
    aliases=("ner",),
    summary="The entities in a text, such as names, with their places.",
    variants={
        Library.TRANSFORMERS: Variant(
            "token_classification.py.jinja",
            (
                TensorSpec("entity", DataType.BYTES, (-1,), "labels; without B- and I- where tokens are put together"),
                TensorSpec("score", DataType.FP32, (-1,), "the labels' scores"),
                TensorSpec("word", DataType.BYTES, (-1,), "the tokens as the tokenizer writes them"),
                TensorSpec("index", DataType.INT32, (-1,), "the token's place among tokens; -1 where put together"),
                TensorSpec("start", DataType.INT32, (-1,), "the first character in the text; -1 where it is not known"),
                TensorSpec("end", DataType.INT32, (-1,), "one more than the last character"),
                COUNT,
            ),
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("*ForTokenClassification",),
    heads=("*ForTokenClassification",),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT_OR_WORDS,),
    parameters=TOKEN_PARAMETERS,
    encode=encode_tokens,
    schema=schema.Schema(  # lists of words where is_split_into_words is true
        schema.either(schema.TEXTS, schema.array(schema.array(schema.TEXT), least=1)),
        schema.either(ENTITIES, schema.array(ENTITIES)),
    ),
    example={"inputs": "My name is Sarah Jessica Parker but you can call me Jessica"},
    max_batch_size=32,
    onnx=graph.of_text("token-classification"),
)

FILL_MASK = TaskSpec(
    name="fill-mask",
    summary="What fits where a text has a mask.",
    variants={
        Library.TRANSFORMERS: Variant(
            "fill_mask.py.jinja",
            (
                TensorSpec("token", DataType.INT32, (-1,), "token ids: mask by mask, the best first"),
                TensorSpec("token_str", DataType.BYTES, (-1,), "the tokens as text"),
                TensorSpec("sequence", DataType.BYTES, (-1,), "the whole text with the token in the mask's place"),
                TensorSpec("score", DataType.FP32, (-1,), "the tokens' probabilities"),
                TensorSpec("mask_index", DataType.INT32, (-1,), "which of the text's masks it is for, from 0"),
                COUNT,
            ),
        )
    },
    library=Library.TRANSFORMERS,
    architectures=("*ForMaskedLM",),
    # Those after the first may hold the same head, and BART's is made of its embeddings.
    heads=(
        "*ForMaskedLM",
        "*ForPreTraining",
        "*LMHeadModel",
        "*ForCausalLM",
        "*ForConditionalGeneration",
        "*BartModel",
    ),
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=FILL_PARAMETERS,
    encode=encode_masks,
    schema=schema.Schema(
        schema.TEXTS, schema.either(CANDIDATES, schema.array(CANDIDATES), schema.array(schema.array(CANDIDATES)))
    ),
    example={"inputs": "The answer to the universe is [MASK]."},
    max_batch_size=32,
    onnx=graph.of_text("fill-mask"),
)

SPECS = (TOKEN_CLASSIFICATION, FILL_MASK)

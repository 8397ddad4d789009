"""Texts rewritten: summarization, translation and text2text-generation, by encoder-decoder models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hub2triton.tasks import schema
from hub2triton.tasks.generation import DETAILS, GENERATION, MAX_NEW_TOKENS, TOLD, entries
from hub2triton.tasks.parameter import ParameterSpec, merged
from hub2triton.tasks.payload import Payload, PayloadError
from hub2triton.tasks.reading import TEXT, TOKENIZER, WEIGHTS
from hub2triton.tasks.spec import Answer, Call, Json, Library, Profile, TaskSpec, Variant
from hub2triton.tensor import DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REWRITING = (
    ParameterSpec(
        "truncation",
        bool,
        "Cut a text that is longer than the model's window (default), or refuse it: false, do_not_truncate.",
        choices=("do_not_truncate", "longest_first", "only_first", "only_second"),
    ),
    ParameterSpec(
        "clean_up_tokenization_spaces", bool, "Take spaces before punctuation out of the answer; default false."
    ),
    *GENERATION,
    *DETAILS,
)
FORM = (
    ParameterSpec("return_full_text", bool, "Nothing: an answer never holds the text it was made of."),
    ParameterSpec("return_text", bool, "Nothing: an answer is always a text."),
    ParameterSpec("return_tensors", bool, "Refused where it is true."),
)
"""Parameters of the form of answers, which these tasks do not leave open; clients of the pipelines send them."""

HEADS = ("*ForConditionalGeneration", "*ForPreTraining", "*Model")
"""A model that was saved without its head may have one nevertheless: often it is made of the embeddings."""

LANGUAGES = (
    ParameterSpec(
        "src_lang",
        str,
        "The text's language, in the model's codes: eng_Latn (NLLB), en_XX (mBART), en (M2M100, T5); default as the "
        "task's name or the model says.",
        aliases=("source_lang",),
    ),
    ParameterSpec("tgt_lang", str, "The language to translate to, as src_lang.", aliases=("target_lang",)),
)


def encode_texts(payload: Payload, output: str, parameters: Sequence[ParameterSpec]) -> Call:
    """A text or a list of texts.

    Args:
        payload: The request's.
        output: The name of the model's output, which is the key of the answers too.
        parameters: What the task takes.
    """
    inputs = payload.inputs
    single = not isinstance(inputs, list)
    texts = [payload.text(inputs, '"inputs"')] if single else payload.texts(inputs, "inputs")
    if not texts:
        raise PayloadError('"inputs" is an empty list; send at least one text')
    asked = merged(payload, (*parameters, *FORM))
    if asked.get("return_tensors"):
        raise PayloadError(
            "return_tensors is not supported: answers are texts; send details true to get the ids of their tokens too"
        )
    asked = {name: value for name, value in asked.items() if name not in {spec.name for spec in FORM}}
    decode = partial(decode_texts, output=output, parameters=asked, single=single)
    return Call([{"text": text} for text in texts], asked, decode)


def decode_texts(
    answers: Sequence[Answer],
    profile: Profile,  # noqa: ARG001
    *,
    output: str,
    parameters: Mapping[str, Json],
    single: bool,
) -> Json:
    """`[{…}]` for a text, `[{…}] * n` for a list of n; a list for each of these where several answers were asked for.

    The same for all clients: their parsers take the first of a list.
    """
    rows = [
        entries(answer, output, [bytes(text).decode() for text in answer[output]], parameters) for answer in answers
    ]
    if single:
        return rows[0]
    return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else rows


def _encode(output: str, parameters: Sequence[ParameterSpec]) -> Callable[[Payload], Call]:
    return partial(encode_texts, output=output, parameters=parameters)


def _schema(output: str) -> schema.Schema:
    texts = schema.generated(output)
    return schema.Schema(schema.TEXTS, schema.either(texts, schema.array(texts)), schema.parameters(FORM))


def _variants(template: str, output: str, description: str) -> dict[Library, Variant]:
    text = TensorSpec(output, DataType.BYTES, (-1,), f"UTF-8 {description}, as many as num_return_sequences asks for")
    return {Library.TRANSFORMERS: Variant(template, (text, *TOLD), requirements=("sentencepiece>=0.2",))}


SUMMARIZATION = TaskSpec(
    name="summarization",
    summary="A text in fewer words.",
    variants=_variants("summarization.py.jinja", "summary_text", "summaries"),
    library=Library.TRANSFORMERS,
    architectures=(
        "*PegasusForConditionalGeneration",
        "PegasusXForConditionalGeneration",
        "LEDForConditionalGeneration",
    ),
    heads=HEADS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=REWRITING,
    encode=_encode("summary_text", REWRITING),
    schema=_schema("summary_text"),
    example={
        "inputs": "The tower is 324 metres (1,063 ft) tall, about the same height as an 81-storey building, and the "
        "tallest structure in Paris. Its base is square, measuring 125 metres (410 ft) on each side. It was the first "
        "structure to reach a height of 300 metres.",
    },
    max_batch_size=16,
    settings=(MAX_NEW_TOKENS,),
)

TRANSLATION = TaskSpec(
    name="translation",
    summary="A text in another language.",
    variants=_variants("translation.py.jinja", "translation_text", "translations"),
    library=Library.TRANSFORMERS,
    pattern=r"translation_[A-Za-z_-]+_to_[A-Za-z_-]+",
    architectures=("MarianMTModel", "M2M100ForConditionalGeneration", "MBartForConditionalGeneration"),
    heads=HEADS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=(*LANGUAGES, *REWRITING),
    encode=_encode("translation_text", (*LANGUAGES, *REWRITING)),
    schema=_schema("translation_text"),
    example={"inputs": "My name is Sarah and I live in London"},
    max_batch_size=16,
    settings=(MAX_NEW_TOKENS,),
)

TEXT2TEXT_GENERATION = TaskSpec(
    name="text2text-generation",
    summary="A text made of a text, by a model that was trained to follow what it says.",
    variants=_variants("text2text_generation.py.jinja", "generated_text", "answers"),
    library=Library.TRANSFORMERS,
    architectures=("*T5ForConditionalGeneration", "BartForConditionalGeneration"),
    heads=HEADS,
    needs=(TOKENIZER, WEIGHTS),
    inputs=(TEXT,),
    parameters=REWRITING,
    encode=_encode("generated_text", REWRITING),
    schema=_schema("generated_text"),
    example={"inputs": "question: What is the capital of France? context: Paris is the capital of France."},
    max_batch_size=16,
    settings=(MAX_NEW_TOKENS,),
)

SPECS = (SUMMARIZATION, TRANSLATION, TEXT2TEXT_GENERATION)

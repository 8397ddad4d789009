"""What all tasks have in common whose models generate text: how it is steered, and what is told of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hub2triton.tasks.parameter import ParameterSpec
from hub2triton.tasks.spec import Answer, Json, Setting
from hub2triton.tensor import COUNT, DataType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = "default as the model's generation_config.json says"

GENERATION = (
    ParameterSpec("max_new_tokens", int, f"The most tokens to generate; {MODEL}.", minimum=1),
    ParameterSpec(
        "max_length", int, "As max_new_tokens, with the tokens counted that generation starts from.", minimum=1
    ),
    ParameterSpec("min_new_tokens", int, "The fewest tokens to generate; default 0.", minimum=0),
    ParameterSpec("min_length", int, "As min_new_tokens, counted as max_length is.", minimum=0),
    ParameterSpec("max_time", float, "Seconds after which no further token is generated; default none.", minimum=0),
    ParameterSpec("do_sample", bool, f"Draw tokens by their probability, or take the likeliest; {MODEL}."),
    ParameterSpec("seed", int, "Makes a sampled answer come again; default another each time.", minimum=0),
    ParameterSpec("temperature", float, "Evens out probabilities above 1, sharpens them below; default 1."),
    ParameterSpec(
        "top_k", int, "Draw from so many likeliest tokens; default 50, 0 for all.", minimum=0, aliases=("topk",)
    ),
    ParameterSpec("top_p", float, "Draw from the likeliest tokens that together have this probability; default 1."),
    ParameterSpec("min_p", float, "Draw from tokens at least so likely, as a part of the likeliest; default 0."),
    ParameterSpec("typical_p", float, "Draw from the most typical tokens of this probability together; default 1."),
    ParameterSpec("epsilon_cutoff", float, "Draw only from tokens of at least this probability; default 0."),
    ParameterSpec("eta_cutoff", float, "The same, eased where all tokens are unlikely; default 0."),
    ParameterSpec("repetition_penalty", float, "Above 1, makes tokens that were there less likely; default 1."),
    ParameterSpec("encoder_repetition_penalty", float, "Above 1, makes tokens of the input likelier; default 1."),
    ParameterSpec("no_repeat_ngram_size", int, "No run of so many tokens comes twice; default 0, off.", minimum=0),
    ParameterSpec("encoder_no_repeat_ngram_size", int, "No such run of the input is repeated; default 0.", minimum=0),
    ParameterSpec("num_beams", int, f"Candidates that are followed at once; {MODEL}.", minimum=1),
    ParameterSpec("early_stopping", bool, 'When beams end: true, false or "never"; default false.', choices=("never",)),
    ParameterSpec("length_penalty", float, "Above 0, makes beams longer; default 1."),
    ParameterSpec("num_return_sequences", int, "Answers for each input; default 1.", minimum=1),
    ParameterSpec(
        "stop",
        list,
        "Texts after which generation ends; they are kept in the answer. Default none.",
        aliases=("stop_sequence", "stop_sequences", "stop_strings"),
    ),
)

MAX_NEW_TOKENS = Setting("max_new_tokens", "4096", "The most new tokens that a request may ask for; more is refused.")

DETAILS = (
    ParameterSpec("details", bool, "Tell why each text ended, and its tokens with their log-probabilities."),
    ParameterSpec("decoder_input_details", bool, "With details, tell the tokens too that the model went on from."),
    ParameterSpec("top_n_tokens", int, "With details, so many of the likeliest tokens in each place.", minimum=0),
)
TOLD = (
    TensorSpec("finish_reason", DataType.BYTES, (-1,), "why each ended: length, eos_token or stop_sequence"),
    TensorSpec("generated_tokens", DataType.INT32, (-1,), "how many tokens of each are new"),
    TensorSpec("details_json", DataType.BYTES, (-1,), "JSON of each one's tokens where details is true, else {}"),
    COUNT,
)
"""The outputs besides the texts."""


def entries(answer: Answer, key: str, texts: list[Json], parameters: Mapping[str, Json]) -> list[Json]:
    """The texts of a row under a key, each with its details where they are asked for."""
    if not parameters.get("details"):
        return [{key: text} for text in texts]
    columns = (answer[name] for name in ("finish_reason", "generated_tokens", "details_json"))
    return [
        {
            key: text,
            "details": {
                "finish_reason": bytes(reason).decode(),
                "generated_tokens": int(tokens),
                "seed": parameters.get("seed"),
                **json.loads(bytes(more)),
            },
        }
        for text, reason, tokens, more in zip(texts, *columns, strict=True)
    ]

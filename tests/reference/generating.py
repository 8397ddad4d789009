"""Tasks that write: transformers' pipeline where there is one, else `generate` on what 4.57's pipelines gave it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from hf_runtime.chat import PLAIN_TEMPLATE

BEAMS = 4
"""Of the pipelines that transformers 5 has no more, where neither the request nor the model says a number."""

LIMITS = ("max_length", "max_new_tokens", "prefix")


@functools.cache
def _pipeline(folder: Path) -> Any:
    return transformers.pipeline("text-generation", model=str(folder), device="cpu")


def text_generation(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """`[{"generated_text"}]`, in a list for each text of a list."""
    return _pipeline(folder)(inputs, **parameters)


def conversational(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
    """The chat with the answer behind it.

    A model without a chat template is asked with the plain one, which is this project's own: the pipeline refuses. As
    that is plain text, it gets the special tokens that the model's tokenizer puts around a text.
    """
    made = _pipeline(folder)
    if made.tokenizer.chat_template is not None:
        return made(inputs, **parameters)
    chats = [inputs] if isinstance(inputs[0], dict) else inputs
    answered = []
    for chat in chats:
        prompt = made.tokenizer.apply_chat_template(
            chat, chat_template=PLAIN_TEMPLATE, tokenize=False, add_generation_prompt=True
        )
        (written,) = made(prompt, return_full_text=False, **parameters)
        answered.append([{"generated_text": [*chat, {"role": "assistant", "content": written["generated_text"]}]}])
    return answered[0] if isinstance(inputs[0], dict) else answered


@functools.cache
def _rewriting(folder: Path) -> tuple[Any, Any]:
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder), model.eval()


def _rewritten(task: str, key: str) -> Any:
    def answer(folder: Path, inputs: Any, parameters: Mapping[str, Any]) -> Any:
        texts = [inputs] if isinstance(inputs, str) else inputs
        return [{key: _written(folder, task, text, **parameters)} for text in texts]

    return answer


def _written(
    folder: Path, task: str, text: str, src_lang: str | None = None, tgt_lang: str | None = None, **options: Any
) -> str:
    """The likeliest text; the request must say how many tokens it may have.

    Languages are those of a task's name, as T5 has it: models that have tokens for them are not asked here.
    """
    assert "max_new_tokens" in options
    tokenizer, model = _rewriting(folder)
    named = task if src_lang is None else f"{task}_{src_lang}_to_{tgt_lang}"
    own = (getattr(model.config, "task_specific_params", None) or {}).get(named, {})
    beams = {"num_beams": model.generation_config.num_beams or BEAMS}
    steered = {**beams, **{name: value for name, value in own.items() if name not in LIMITS}, **options}
    tokens = tokenizer([own.get("prefix", "") + text], return_tensors="pt", truncation=True)
    with torch.inference_mode():
        ids = model.generate(tokens["input_ids"], attention_mask=tokens["attention_mask"], **steered)
    return str(tokenizer.decode(ids[0], skip_special_tokens=True))


REFERENCES = {
    "text-generation": text_generation,
    "conversational": conversational,
    "summarization": _rewritten("summarization", "summary_text"),
    "translation": _rewritten("translation", "translation_text"),
    "text2text-generation": _rewritten("text2text-generation", "generated_text"),
}

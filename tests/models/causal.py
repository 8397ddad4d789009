"""Tiny causal models: without a token for padding, with two ends of a text, for chats, and of no use in batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models import text, vocabulary
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = 128
"""Positions that every model here has."""

PROMPT = "the old man saw"
"""The first 6 likeliest tokens after it, each alone an end of text to `llama_ends`, would end it there."""

CHAT_TEMPLATE = (
    "{% for tool in tools or [] %}<|im_start|>tool\n{{ tool['name'] }}<|im_end|>\n{% endfor %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'nobody' %}{{ raise_exception('nobody cannot speak') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LAYERS = {
    "hidden_size": text.SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 2 * text.SIZE,
    "max_position_embeddings": WINDOW,
    "initializer_range": text.SPREAD,
}


def gpt2_text(folder: Path) -> None:
    """GPT-2: a table of positions that ends, no token for padding, no special tokens around a text."""
    tokenizer = vocabulary.gpt2_bytes()
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=WINDOW,
        n_embd=text.SIZE,
        n_layer=2,
        n_head=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=text.SPREAD,
    )
    _save(folder, transformers.GPT2LMHeadModel, config, tokenizer)


def llama_ends(folder: Path) -> None:
    """Llama: rotary positions, a first token before every text, greedy by its own word, and two tokens that end one."""
    tokenizer = _llama_tokenizer()
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, **LAYERS)
    model = _made(transformers.LlamaForCausalLM, config)
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    likeliest = model.generate(ids, do_sample=False, max_new_tokens=6, pad_token_id=0)[0, ids.shape[1] :].tolist()
    _write(folder, model, tokenizer, eos_token_id=[2, likeliest[-1]], do_sample=False)


def qwen2_chat(folder: Path) -> None:
    """Qwen2: a chat template that knows tools and refuses one role, and defaults of generation of its own."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words, merges = vocabulary._byte_pairs(special)
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=words,
        merges=merges,
        pad_token="<|endoftext|>",  # noqa: S106
        eos_token="<|im_end|>",  # noqa: S106
        additional_special_tokens=special[1:],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id, **LAYERS
    )
    own = {"do_sample": True, "temperature": 0.9, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
    model = _made(transformers.Qwen2ForCausalLM, config)
    _write(folder, model, tokenizer, **own, pad_token_id=tokenizer.pad_token_id)


def rwkv_text(folder: Path) -> None:
    """RWKV, which has a state instead of attention, takes padding for text, and mixes the rows of a batch."""
    tokenizer = vocabulary.gpt2_bytes()
    config = transformers.RwkvConfig(
        vocab_size=len(tokenizer),
        hidden_size=text.SIZE,
        num_hidden_layers=2,
        context_length=WINDOW,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = _made(transformers.RwkvForCausalLM, config)
    _spread(model)
    _write(folder, model, tokenizer)


def xlm_text(folder: Path) -> None:
    """XLM, which reads a text in both directions, and counts positions from the padding."""
    tokenizer = vocabulary.gpt2_bytes()
    config = transformers.XLMConfig(
        vocab_size=len(tokenizer),
        emb_dim=text.SIZE,
        n_layers=2,
        n_heads=4,
        n_langs=1,
        max_position_embeddings=WINDOW,
        embed_init_std=text.SPREAD,
        init_std=text.SPREAD,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    _save(folder, transformers.XLMWithLMHeadModel, config, tokenizer)


def _spread(model: Any) -> None:
    """Weights that are drawn, where a model's own initialization makes them all alike."""
    with text.seeded(), torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * text.SPREAD)


def _llama_tokenizer() -> transformers.LlamaTokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=sorted("▁" + vocabulary.LETTERS + vocabulary.PUNCTUATION),
        show_progress=False,
    )
    tokenizer.train_from_iterator(vocabulary._sentences(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [(left, right) for left, right in model["merges"]]
    return transformers.LlamaTokenizer(vocab=model["vocab"], merges=merges, add_bos_token=True)


def _save(folder: Path, model: Any, config: transformers.PretrainedConfig, tokenizer: Any, **defaults: Any) -> None:
    _write(folder, _made(model, config), tokenizer, **defaults)


def _made(model: Any, config: transformers.PretrainedConfig) -> Any:
    with text.seeded():
        torch.manual_seed(0)
        return model(config).eval()


def _write(folder: Path, model: Any, tokenizer: Any, **defaults: Any) -> None:
    if defaults:
        model.generation_config._from_model_config = False  # else `generate` makes it anew from config.json
        model.generation_config.update(**defaults)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


BUILDERS = (gpt2_text, llama_ends, qwen2_chat, rwkv_text, xlm_text)

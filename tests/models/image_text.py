"""Tiny models that look at images and read texts: CLIP and SigLIP, ViLT and BLIP for questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models import text, vocabulary
from tests.models.vision import PATCH, SIZE, labels
from tokenizers import pre_tokenizers
from transformers.utils import sentencepiece_model_pb2_new as spm

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 16
"""Numbers in the vectors that images and texts are compared by."""

CLIP_WINDOW = 40
SIGLIP_WINDOW = 64
QUESTION_WINDOW = 24
ANSWERS = ("yes", "no", "1", "2", "red", "blue", "a horse")


def clip(folder: Path) -> None:
    """CLIP: the vector of a text is that of its last token, and labels share a sum of 1."""
    tokenizer = _clip_tokenizer()
    config = transformers.CLIPConfig(
        text_config={
            **_layers(tokenizer),
            "max_position_embeddings": CLIP_WINDOW,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**PATCH, **text.LAYERS},
        projection_dim=WIDTH,
        initializer_factor=5.0,
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": SIZE}
    processor = transformers.CLIPProcessor(transformers.CLIPImageProcessorPil(**size), tokenizer)
    with text.seeded():
        model = transformers.CLIPModel(config)
        torch.nn.init.constant_(model.logit_scale, 2.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def siglip(folder: Path) -> None:
    """SigLIP: every text is padded to 64 tokens, which are not masked, and labels are judged one by one."""
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(_sentencepiece())
    tokenizer = transformers.SiglipTokenizer(str(folder / "spiece.model"), model_max_length=SIGLIP_WINDOW)
    config = transformers.SiglipConfig(
        text_config={
            **_layers(tokenizer),
            "max_position_embeddings": SIGLIP_WINDOW,
            "projection_size": text.SIZE,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**PATCH, **text.LAYERS},
    )
    processor = transformers.SiglipProcessor(transformers.SiglipImageProcessorPil(size=SIZE), tokenizer)
    with text.seeded():
        model = transformers.SiglipModel(config)
        _spread(model)
        torch.nn.init.constant_(model.logit_scale, 2.0)
        torch.nn.init.constant_(model.logit_bias, -1.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def vilt_vqa(folder: Path) -> None:
    """ViLT: chooses among answers it knows; images keep their proportions and are padded with a mask."""
    tokenizer = vocabulary.word_pieces(QUESTION_WINDOW)
    config = transformers.ViltConfig(
        **_layers(tokenizer),
        image_size=64,
        patch_size=16,
        max_position_embeddings=QUESTION_WINDOW,
        initializer_range=text.SPREAD,
        **labels(*ANSWERS),
    )
    images = transformers.ViltImageProcessorPil(size={"shortest_edge": 48}, size_divisor=16)
    with text.seeded():
        model = transformers.ViltForQuestionAnswering(config)
        _spread(model)
    model.save_pretrained(folder)
    transformers.ViltProcessor(images, tokenizer).save_pretrained(folder)


def blip_vqa(folder: Path) -> None:
    """BLIP: writes its answers. Its decoder starts from a token behind the tokenizer's vocabulary."""
    _blip(folder)


def blip_beams(folder: Path) -> None:
    """BLIP that searches with beams, as its generation_config says."""
    _blip(folder, num_beams=3, max_new_tokens=8)


def _blip(folder: Path, **generation: Any) -> None:
    tokenizer = vocabulary.word_pieces(text.WINDOW)
    config = transformers.BlipConfig(
        text_config={
            **_layers(tokenizer),
            "vocab_size": len(tokenizer) + 2,
            "max_position_embeddings": text.WINDOW,
            "encoder_hidden_size": text.SIZE,
            "projection_dim": WIDTH,
            "bos_token_id": len(tokenizer),
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "is_decoder": True,
            "initializer_range": text.SPREAD,
        },
        vision_config={**PATCH, **text.LAYERS, "projection_dim": WIDTH},
        projection_dim=WIDTH,
        image_text_hidden_size=WIDTH,
    )
    images = transformers.BlipImageProcessorPil(size=SIZE)
    with text.seeded():
        model = transformers.BlipForQuestionAnswering(config)
        _spread(model)
    with torch.no_grad():  # so that answers end, some sooner than others
        model.text_decoder.cls.predictions.bias[tokenizer.sep_token_id] = 3.8
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    transformers.BlipProcessor(images, tokenizer).save_pretrained(folder)


def _layers(tokenizer: Any) -> dict[str, Any]:
    return {**text.LAYERS, "vocab_size": len(tokenizer)}


def _spread(model: torch.nn.Module) -> None:
    """Wider weights than transformers draws, so that other inputs have clearly other answers."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding | torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=text.SPREAD)


def _clip_tokenizer() -> transformers.CLIPTokenizer:
    """Bytes, and of the words their beginnings up to the whole word."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for word in vocabulary.WORDS:
        for end in range(1, len(word)):
            last = f"{word[end]}</w>" if end == len(word) - 1 else word[end]
            merges.append((word[:end], last))
    merges = list(dict.fromkeys(merges))
    pieces = [*signs, *(f"{sign}</w>" for sign in signs), *("".join(merge) for merge in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]  # the last ones, as CLIP has them
    known = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return transformers.CLIPTokenizer(vocab=known, merges=merges, model_max_length=CLIP_WINDOW)


def _sentencepiece() -> bytes:
    """A unigram model written, not trained: the same in every run and with every version."""
    model = spm.ModelProto()
    model.trainer_spec.model_type = spm.TrainerSpec.UNIGRAM
    model.trainer_spec.unk_id, model.trainer_spec.eos_id = 0, 1
    model.trainer_spec.bos_id = model.trainer_spec.pad_id = -1
    model.normalizer_spec.name = "identity"
    kinds = spm.ModelProto.SentencePiece
    for piece, kind in (("<unk>", kinds.UNKNOWN), ("</s>", kinds.CONTROL)):
        model.pieces.add(piece=piece, score=0.0, type=kind)
    signs = [*vocabulary.LETTERS, *vocabulary.PUNCTUATION, "▁"]
    words = [f"▁{word}" for word in vocabulary.WORDS if len(word) > 1]
    for rank, piece in enumerate([*words, *signs]):
        model.pieces.add(piece=piece, score=-3.0 - 0.01 * rank, type=kinds.NORMAL)
    return bytes(model.SerializeToString())


BUILDERS = (clip, siglip, vilt_vqa, blip_vqa, blip_beams)

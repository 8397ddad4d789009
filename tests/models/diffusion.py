"""Tiny diffusion pipelines: one with a UNet, one with a transformer that matches flows, one whose checker objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import diffusers
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tests.models import seq2seq, text, vocabulary
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 32
"""Pixels on each side of an image, unless it is asked for otherwise."""

TOKENS = 24
"""Tokens that a prompt is cut at, or padded to."""

SCALE = 4
"""Pixels of an image on each side of one latent."""

EDGES = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}


def stable_diffusion(folder: Path) -> None:
    """Stable Diffusion, whose UNet takes any even number of latents."""
    _stable_diffusion(safety_checker=None, feature_extractor=None).save_pretrained(folder)


def stable_diffusion_checked(folder: Path) -> None:
    """The same with a safety checker, to which every image is objectionable."""
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.CLIPConfig(
        vision_config={**vision, "image_size": 16, "patch_size": 8}, projection_dim=8, text_config=_clip(_words())
    )
    with text.seeded():
        checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-1)
    extractor = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    _stable_diffusion(safety_checker=checker, feature_extractor=extractor).save_pretrained(folder)


def stable_diffusion_3(folder: Path) -> None:
    """Stable Diffusion 3: three text encoders, and a transformer whose patches are two latents wide."""
    tokenizer, pieces = _words(), seq2seq._t5_tokenizer()
    with text.seeded():
        transformer = diffusers.SD3Transformer2DModel(
            sample_size=SIDE // SCALE,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            pos_embed_max_size=32,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * text.SIZE,
            caption_projection_dim=16,
            pooled_projection_dim=2 * text.SIZE,
        )
        encoders = [transformers.CLIPTextModelWithProjection(_clip(tokenizer)) for _ in range(2)]
        layers = {**seq2seq.T5_LAYERS, "d_model": 2 * text.SIZE, "num_layers": 1}  # as wide as the first two together
        encoder = transformers.T5EncoderModel(transformers.T5Config(**seq2seq._t5_ids(pieces), **layers))
        vae = _vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False)
    diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=encoders[0],
        tokenizer=tokenizer,
        text_encoder_2=encoders[1],
        tokenizer_2=tokenizer,
        text_encoder_3=encoder,
        tokenizer_3=pieces,
    ).save_pretrained(folder)


def _stable_diffusion(**safety: Any) -> diffusers.StableDiffusionPipeline:
    tokenizer = _words()
    with text.seeded():
        unet = diffusers.UNet2DConditionModel(
            sample_size=SIDE // SCALE,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=text.SIZE,
            attention_head_dim=2,
            norm_num_groups=4,
        )
        encoder = transformers.CLIPTextModel(_clip(tokenizer))
        vae = _vae()
    # Those of the published models, whose images would otherwise be another library's.
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        requires_safety_checker=safety["safety_checker"] is not None,
        **safety,
    )


def _vae(**more: Any) -> diffusers.AutoencoderKL:
    blocks = (8, 8, 8)  # each but the last halves the sides
    return diffusers.AutoencoderKL(
        block_out_channels=blocks,
        down_block_types=("DownEncoderBlock2D",) * len(blocks),
        up_block_types=("UpDecoderBlock2D",) * len(blocks),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIDE,
        **more,
    )


def _clip(tokenizer: Any) -> transformers.CLIPTextConfig:
    return transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=TOKENS,
        projection_dim=text.SIZE,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=5.0,
        **{**text.LAYERS, "num_hidden_layers": 1},
    )


def _words() -> transformers.CLIPTokenizer:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[EDGES["bos_token"], EDGES["eos_token"]],
        initial_alphabet=[*alphabet, *(f"{letter}</w>" for letter in alphabet)],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(vocabulary._sentences(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [(left, right) for left, right in model["merges"]]
    return transformers.CLIPTokenizer(
        vocab=model["vocab"], merges=merges, model_max_length=TOKENS, pad_token=EDGES["eos_token"], **EDGES
    )


BUILDERS = (stable_diffusion, stable_diffusion_checked, stable_diffusion_3)

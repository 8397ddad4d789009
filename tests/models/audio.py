"""Tiny models that hear: speech recognition by CTC and by Whisper, and classifiers. The same in every run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tests.models import vocabulary
from tests.models.text import LAYERS, SIZE, SPREAD, seeded

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
WINDOW_S = 4
"""Seconds that the tiny Whisper models read at once, in place of 30."""

STEP_S = 0.02
"""Seconds between Whisper's timestamps."""

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVKXJQZ'"]
SPACES = 2.4
"""How much likelier the end of a word is made."""

CONVOLUTIONS = {
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
}
LANGUAGES = ["<|en|>", "<|fr|>", "<|de|>"]
WORDS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *LANGUAGES,
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
]


def wav2vec2_ctc(folder: Path) -> None:
    """The first layer takes its norm over time, so that sounds cannot be padded."""
    config = _wav2vec2(transformers.Wav2Vec2Config, "group", vocab_size=len(LETTERS))
    _speech(folder, transformers.Wav2Vec2ForCTC, config, masks=False)


def hubert_ctc(folder: Path) -> None:
    """Each frame has a norm of its own, and padding is masked."""
    config = _wav2vec2(transformers.HubertConfig, "layer", vocab_size=len(LETTERS), do_stable_layer_norm=True)
    _speech(folder, transformers.HubertForCTC, config, masks=True)


def whisper(folder: Path) -> None:
    """Several languages, of which it finds out the right one, and timestamps of words."""
    more = {
        "is_multilingual": True,
        "lang_to_id": LANGUAGES,
        "task_to_id": ["translate", "transcribe"],
        "alignment_heads": [[0, 0], [1, 1]],
    }
    _whisper(folder, seed=0, **more)


def whisper_english(folder: Path) -> None:
    """English only, with parameters of generation of its own, and no timestamps of words."""
    _whisper(folder, seed=2, is_multilingual=False, num_beams=2)


def wav2vec2_commands(folder: Path) -> None:
    """One label of several."""
    config = _wav2vec2(transformers.Wav2Vec2Config, "group", **_labels("yes", "no", "up", "down"))
    _classifier(folder, transformers.Wav2Vec2ForSequenceClassification, config, masks=False)


def hubert_emotions(folder: Path) -> None:
    """Several labels at a time; padding is masked."""
    more = {"problem_type": "multi_label_classification", **_labels("neutral", "happy", "angry")}
    config = _wav2vec2(transformers.HubertConfig, "layer", do_stable_layer_norm=True, **more)
    _classifier(folder, transformers.HubertForSequenceClassification, config, masks=True)


def ast_sounds(folder: Path) -> None:
    """A transformer of spectrograms, all of one length."""
    config = transformers.ASTConfig(
        max_length=128,
        num_mel_bins=32,
        patch_size=16,
        frequency_stride=10,
        time_stride=10,
        initializer_range=SPREAD,
        **LAYERS,
        **_labels("speech", "music", "noise"),
    )
    _save(folder, transformers.ASTForAudioClassification, config)
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128).save_pretrained(folder)


def wav2vec2_without_head(folder: Path) -> None:
    """A base model, which says of itself that it can recognize speech."""
    wav2vec2_ctc(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    _save(folder, transformers.Wav2Vec2Model, config)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "architectures": ["Wav2Vec2ForCTC"]}))


def _wav2vec2(kind: type[Any], norm: str, **more: Any) -> Any:
    return kind(
        **CONVOLUTIONS,
        **LAYERS,
        **{"vocab_size": 32, "pad_token_id": 0, "classifier_proj_size": SIZE, **more},
        feat_extract_norm=norm,
        conv_bias=norm == "layer",
        initializer_range=SPREAD,
    )


def _wav2vec2_features(*, masks: bool) -> transformers.Wav2Vec2FeatureExtractor:
    return transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True, return_attention_mask=masks)


def _speech(folder: Path, model: type[Any], config: Any, *, masks: bool) -> None:
    folder.mkdir(parents=True)
    words = folder / "vocab.json"
    words.write_text(json.dumps({letter: index for index, letter in enumerate(LETTERS)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(words))
    with seeded():
        made = model(config)
    made.lm_head.bias.data[LETTERS.index("|")] += SPACES  # by itself it finds hardly any
    made.save_pretrained(folder)
    transformers.Wav2Vec2Processor(_wav2vec2_features(masks=masks), tokenizer).save_pretrained(folder)


def _classifier(folder: Path, model: type[Any], config: Any, *, masks: bool) -> None:
    _save(folder, model, config)
    _wav2vec2_features(masks=masks).save_pretrained(folder)


def _whisper(folder: Path, *, seed: int, **generation: Any) -> None:
    words, merges = vocabulary._byte_pairs([])
    tokenizer = transformers.WhisperTokenizer(vocab=words, merges=merges, additional_special_tokens=WORDS[1:])
    steps = round(WINDOW_S / STEP_S)
    times = [f"<|{step * STEP_S:.2f}|>" for step in range(steps + 1)]
    tokenizer.add_tokens([transformers.AddedToken(time, special=False, normalized=False) for time in times])
    ids = dict(zip(WORDS, tokenizer.convert_tokens_to_ids(WORDS), strict=True))
    end = ids["<|endoftext|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=SIZE,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * SIZE,
        decoder_ffn_dim=2 * SIZE,
        max_source_positions=steps,
        max_target_positions=64,
        init_std=SPREAD,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    if "lang_to_id" in generation:
        generation["lang_to_id"] = {language: ids[language] for language in generation["lang_to_id"]}
        generation["task_to_id"] = {task: ids[f"<|{task}|>"] for task in generation["task_to_id"]}
    with seeded():
        torch.manual_seed(seed)
        made = transformers.WhisperForConditionalGeneration(config)
    made.generation_config._from_model_config = False  # else `generate` makes it anew from config.json
    generation |= {
        "max_length": 16,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_initial_timestamp_index": 50,
        "suppress_tokens": [],
        "begin_suppress_tokens": [end],
        "return_timestamps": False,
    }
    for name, value in generation.items():
        setattr(made.generation_config, name, value)
    made.save_pretrained(folder)
    features = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW_S)
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(folder)


def _labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def _save(folder: Path, model: type[Any], config: Any) -> None:
    with seeded():
        model(config).save_pretrained(folder)


BUILDERS = (
    wav2vec2_ctc,
    hubert_ctc,
    whisper,
    whisper_english,
    wav2vec2_commands,
    hubert_emotions,
    ast_sounds,
    wav2vec2_without_head,
)

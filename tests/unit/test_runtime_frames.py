"""The frames of a sound by arithmetic, against what transformers' models say of themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from hf_runtime.frames import Frames
from hf_runtime.plain_config import PlainConfig

LENGTHS = (1, 100, 399, 400, 719, 720, 16_000, 16_319, 960_001)
CONFIGS = [
    transformers.Wav2Vec2Config(),
    transformers.Wav2Vec2Config(add_adapter=True),
    transformers.Wav2Vec2Config(add_adapter=True, num_adapter_layers=1, adapter_stride=3),
    transformers.WavLMConfig(add_adapter=True),
    transformers.HubertConfig(conv_dim=(8, 8), conv_kernel=(9, 4), conv_stride=(3, 2)),
    transformers.SEWConfig(),
    transformers.Data2VecAudioConfig(),
]


def told(config: Any, samples: int) -> int:
    """What transformers' model of a configuration says."""
    model = transformers.MODEL_FOR_CTC_MAPPING[type(config)]
    return int(model._get_feat_extract_output_lengths(SimpleNamespace(config=config), torch.tensor(samples)))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.model_type}-{config.conv_kernel}")
def test_frames_are_those_that_transformers_counts(config: Any) -> None:
    plain = PlainConfig(config.to_dict())
    counts = [told(config, samples) for samples in LENGTHS]
    assert counts[0] < 1 < counts[-1]
    for known in (config, plain):
        frames = Frames.of(known)
        assert [frames.count(samples) for samples in LENGTHS] == counts


def test_a_model_without_convolutions_takes_samples_for_frames() -> None:
    for config in (transformers.ASTConfig(), transformers.Wav2Vec2BertConfig(add_adapter=True)):
        assert Frames.of(config).count(1_234) == 1_234

"""Encoders whose layers leave out padding, before they are exported: in torch, against themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hub2triton.generate.export import packing, parity

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
BERT = transformers.BertConfig(**SIZES)
ENCODERS = (
    (transformers.BertModel, BERT),
    (transformers.BertForMaskedLM, BERT),
    (transformers.BertForQuestionAnswering, BERT),
    (transformers.RobertaForTokenClassification, transformers.RobertaConfig(**SIZES)),
    (transformers.XLMRobertaForSequenceClassification, transformers.XLMRobertaConfig(**SIZES)),
    (transformers.ElectraModel, transformers.ElectraConfig(**SIZES, embedding_size=16)),
    (
        transformers.DistilBertForSequenceClassification,
        transformers.DistilBertConfig(
            vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=40
        ),
    ),
)
OTHERS = (
    (transformers.GPT2Model, transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2)),
    (transformers.AlbertModel, transformers.AlbertConfig(**SIZES, embedding_size=16)),
    (
        transformers.BartForSequenceClassification,
        transformers.BartConfig(vocab_size=50, d_model=16, encoder_layers=2, decoder_layers=2),
    ),
)

MASKS = {
    "padded": [[1] * 9, [1] * 4 + [0] * 5, [1] * 7 + [0] * 2],
    "padded on the left": [[1] * 9, [0] * 5 + [1] * 4, [0] * 2 + [1] * 7],
    "full": [[1] * 9] * 3,
}


def made(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = kind(config).eval()
    for weights in model.parameters():  # larger than at the beginning of a training, so that mistakes are seen
        torch.nn.init.normal_(weights, std=0.3)
    return model


def asked(model: Any, mask: list[list[int]]) -> dict[str, np.ndarray[Any, Any]]:
    """What it gives for each token, and for each row."""
    torch.manual_seed(1)
    inputs = {"input_ids": torch.randint(3, 50, (3, 9)), "attention_mask": torch.tensor(mask)}
    with torch.inference_mode():
        found = {name: value.numpy() for name, value in model(**inputs).items()}
    return parity.of_tokens({"attention_mask": inputs["attention_mask"].numpy()}, found)


@pytest.mark.parametrize("padding", MASKS)
@pytest.mark.parametrize(("kind", "config"), ENCODERS, ids=[kind.__name__ for kind, _ in ENCODERS])
def test_an_encoder_gives_the_same_without_padding(kind: Any, config: Any, padding: str) -> None:
    model = made(kind, config)
    assert packing.layers(model) is not None
    wanted = asked(model, MASKS[padding])
    with packing.packed(model):
        found = asked(model, MASKS[padding])
    again = asked(model, MASKS[padding])
    for name in wanted:
        if MASKS[padding][1][0] == 0 and len(wanted[name]) == len(MASKS[padding]):
            continue  # made of a row's first place, which is none of a token here
        assert np.allclose(found[name], wanted[name], atol=1e-4), name
        assert np.array_equal(again[name], wanted[name]), name  # the model is as it was


def test_layers_get_no_padding() -> None:
    model = made(transformers.BertModel, BERT)
    seen = []
    model.encoder.layer[1].register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    with packing.packed(model):
        asked(model, MASKS["padded"])
    assert seen == [(1, 20, 16)]


@pytest.mark.parametrize(("kind", "config"), OTHERS, ids=[kind.__name__ for kind, _ in OTHERS])
def test_layers_of_other_kinds_are_left_alone(kind: Any, config: Any) -> None:
    assert packing.layers(made(kind, config)) is None


def test_attention_that_is_its_own_code_is_told() -> None:
    model = made(transformers.MPNetModel, transformers.MPNetConfig(**SIZES))
    with pytest.raises(ValueError, match="cannot be replaced"), packing.packed(model):
        pass


def test_what_stands_for_padding_is_not_compared() -> None:
    inputs = {"attention_mask": np.array([[1, 1, 0], [1, 0, 0]])}
    outputs = {"states": np.arange(12).reshape(2, 3, 2), "pooled": np.arange(4).reshape(2, 2)}
    found = parity.of_tokens(inputs, outputs)
    assert found["states"].tolist() == [[0, 1], [2, 3], [6, 7]]
    assert found["pooled"] is outputs["pooled"]

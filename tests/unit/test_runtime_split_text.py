"""Texts that come as lists of words have the entities that transformers' own pipeline finds in them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.asked import Asked
from tests.models.text import WINDOW
from transformers import pipeline
from triton_python_backend_utils import InferenceRequest

from hf_runtime import InvalidInput
from hf_runtime.split_text import SplitText
from hub2triton.tasks.spec import Profile
from hub2triton.tensor import PARAMETERS

FAMILIES = ["bert_entities", "xlm_roberta_entities", "deberta_entities"]
STRATEGIES = ["none", "simple", "first", "average", "max"]
LONG = "the old horse saw a very large machine in the street Zürich "
TEXTS = [
    ["today", "is", "a", "sunny", "day"],
    ["two words", "Zürich", "", "漢字", "cafe\u0301", "🙂", "x,y", " ", "paris"],
    ["x"],
    ["", "dog"],
    LONG.split() * 9,
]

Serve = Callable[[str], Asked]
Reference = Callable[[str], Any]


@pytest.fixture(scope="module")
def serve(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    output = tmp_path_factory.mktemp("repository")
    return functools.cache(lambda name: Asked("token-classification", tiny(name), output, rows=2))


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Reference:
    @functools.cache
    def load(name: str) -> Any:
        made = pipeline("token-classification", model=str(tiny(name)), device="cpu")
        made.tokenizer.model_max_length = WINDOW  # not all of them know it
        return lambda inputs, **parameters: json.loads(json.dumps(made(inputs, **parameters), default=float))

    return load


def same(found: Any, expected: Any) -> None:
    """Everything equal but scores, which may differ by rounding."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
        return
    assert found.keys() == expected.keys()
    assert {**found, "score": 0} == {**expected, "score": 0}
    assert found["score"] == pytest.approx(expected["score"], abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("more", [{}, {"delimiter": ""}, {"delimiter": " — "}, {"ignore_labels": []}])
def test_entities_of_words(serve: Serve, reference: Reference, name: str, strategy: str, more: dict[str, Any]) -> None:
    asked = {"is_split_into_words": True, "aggregation_strategy": strategy, **more}
    expected = reference(name)(TEXTS, **asked)
    assert max(map(len, expected)) > 1
    same(serve(name)(TEXTS, **asked), expected)
    for text, own in zip(TEXTS, expected, strict=True):
        same(serve(name)([text], **asked), [own])
        same(serve(name)(text, **asked), reference(name)(text, **asked))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("stride", [0, 9])
@pytest.mark.parametrize("delimiter", [" ", "--"])
def test_many_words_are_read_by_windows(
    serve: Serve, reference: Reference, name: str, strategy: str, stride: int, delimiter: str
) -> None:
    asked = {
        "is_split_into_words": True,
        "aggregation_strategy": strategy,
        "stride": stride,
        "delimiter": delimiter,
        "ignore_labels": [],
    }
    expected = reference(name)(TEXTS, **asked)
    same(serve(name)(TEXTS, **asked), expected)
    same(serve(name)(TEXTS[-1:], **asked), expected[-1:])
    cut = serve(name)(TEXTS[-1:], **{**asked, "stride": None})
    assert expected[-1][-1]["end"] > cut[0][-1]["end"] + 100


@pytest.mark.parametrize("name", FAMILIES)
def test_places_are_characters_of_the_words_with_the_delimiter_between(serve: Serve, name: str) -> None:
    for delimiter in (" ", "", "\n\n"):
        found = serve(name)(TEXTS[1], isSplitIntoWords=True, delimiter=delimiter, ignore_labels=[])[0]
        text = delimiter.join(TEXTS[1])
        places = [(text[token["start"] : token["end"]], token["start"]) for token in found]
        assert ("paris", len(text) - len("paris")) in places


def test_the_delimiter_says_nothing_of_a_whole_text(serve: Serve, reference: Reference) -> None:
    for more in ({"delimiter": "--"}, {"delimiter": "--", "is_split_into_words": False}):
        same(serve("bert_entities")("a dog in paris", **more), reference("bert_entities")("a dog in paris", **more))


def test_no_words_have_no_entities(serve: Serve, reference: Reference) -> None:
    for name in FAMILIES:
        for texts in ([[]], [["dog"], []], [[], ["dog"]], [[""]]):
            expected = reference(name)(texts, is_split_into_words=True, ignore_labels=[])
            same(serve(name)(texts, is_split_into_words=True, ignore_labels=[]), expected)


def test_javascript_gets_groups_of_words(serve: Serve, reference: Reference) -> None:
    expected = reference("bert_entities")(TEXTS[0], is_split_into_words=True, aggregation_strategy="simple")
    same(serve("bert_entities")(TEXTS[0], Profile.JAVASCRIPT, is_split_into_words=True), expected)


def test_a_tokenizer_without_words(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve("bert_entities")
    monkeypatch.setattr(type(model.model.classifier.tokenizer), "is_fast", False)
    assert "needs a fast tokenizer" in model.refusal(["a"], is_split_into_words=True)


@pytest.mark.parametrize("text", ["a dog", "[", '{"a": "dog"}', "[1]", '["a", null]', "[" * 100_000, "9" * 5000])
def test_a_tritonclients_text_must_be_a_list_of_words(serve: Serve, text: str) -> None:
    model = serve("bert_entities")
    (request,) = model.requests(model.call(["a"], is_split_into_words=True))
    assert request.inputs["text"].tolist() == [[b'["a"]']]
    assert json.loads(request.inputs[PARAMETERS.name][0, 0]) == {"is_split_into_words": True}
    changed = {**request.inputs, "text": np.array([[text.encode()]], dtype=np.object_)}
    (response,) = model.model.execute([InferenceRequest(changed, request.outputs)])
    assert 'a text must be a JSON list of words, such as ["a", "dog"]' in response.refusal.message


def test_words_and_places() -> None:
    split = SplitText.of('["a", "", "dog"]', "--")
    assert split.text == "a----dog"
    assert [split.text[start:end] for start, end in split.places] == ["a", "", "dog"]
    with pytest.raises(InvalidInput):
        SplitText.of("null", " ")
    with pytest.raises(InvalidInput, match="half of a character"):
        SplitText.of(r'["a", "\ud800"]', " ")
    assert SplitText.of(r'["\ud83d\ude42"]', " ").words == ["🙂"]

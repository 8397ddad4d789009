"""Generated models that classify texts and tokens and fill in masks, against transformers' own pipelines."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import generated
from tests.asked import Asked
from tests.models import builder
from tests.models.text import WINDOW
from transformers import AutoConfig, pipeline
from triton_python_backend_utils import InferenceRequest

from hub2triton.generate import generation
from hub2triton.generate.options import Options
from hub2triton.shim import tensors, transport
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Profile
from hub2triton.tensor import PARAMETERS, DataType

LONG = "the old horse saw a very large machine in the street " * 12
UNUSUAL = "🙂 cafe\u0301 Zürich 漢字 \U0001f468\u200d\U0001f469\u200d\U0001f467 in paris\n\tby night…"
TEXTS = ["today is a sunny day", "x", "a very good friend, from Paris (by train)", UNUSUAL, LONG, ""]
LABELS = ["sunny day", "food", "machine", "very long night"]

CLASSIFIERS = [
    "distilbert_sentiment",
    "roberta_emotions",
    "bert_regression",
    "gpt2_sentiment",
    "deberta_toxicity",
    "xlm_roberta_languages",
]
NLI = ["roberta_nli", "bart_nli", "deberta_nli"]
NER = ["bert_entities", "xlm_roberta_entities", "deberta_entities"]
MASKED = ["bert_masked", "roberta_masked"]
STRATEGIES = ["none", "simple", "first", "average", "max"]
MASKS = ["the [MASK] is good", "a [MASK]", "🙂 cafe\u0301 漢字 has [MASK] in it, and a red river"]

NUMPY = {DataType.FP32: np.float32, DataType.INT32: np.int32, DataType.BYTES: np.object_}


Serve = Callable[[str, str], Asked]
Reference = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def serve(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    output = tmp_path_factory.mktemp("repository")

    @functools.cache
    def load(task: str, name: str) -> Asked:
        return Asked(task, tiny(name), output, rows=2)

    return load


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Reference:
    @functools.cache
    def load(task: str, name: str) -> Any:
        made = pipeline(task, model=str(tiny(name)), device="cpu")
        made.tokenizer.model_max_length = WINDOW  # not all of them know it
        return made

    return load


def same(found: Any, expected: Any) -> None:
    """Everything equal but numbers with a fraction, which may differ by rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float | np.floating):
        assert isinstance(found, float)
        assert found == pytest.approx(float(expected), abs=1e-5)
    else:
        assert found == expected


# ---- text-classification


def classes(reference: Reference, name: str, item: Any, **parameters: Any) -> Any:
    return reference("text-classification", name)(
        item, **{"top_k": None, "truncation": True, "max_length": WINDOW, **parameters}
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
def test_labels_of_texts(serve: Serve, reference: Reference, name: str, function: str | None) -> None:
    texts = TEXTS[:-1] if name == "gpt2_sentiment" else TEXTS  # whose tokenizer has nothing for an empty text
    more = {} if function is None else {"function_to_apply": function}
    expected = [classes(reference, name, text, **more) for text in texts]
    model = serve("text-classification", name)
    same(model(texts, top_k=None, **more), expected)
    for text, labels in zip(texts, expected, strict=True):
        same(model(text, top_k=None, **more), labels)


@pytest.mark.parametrize("name", ["distilbert_sentiment", "bert_regression", "roberta_emotions", "bart_nli"])
def test_labels_of_pairs_beside_single_texts(serve: Serve, reference: Reference, name: str) -> None:
    pairs: list[Any] = [{"text": text, "text_pair": other} for text in TEXTS[:4] for other in (TEXTS[0], "", LONG)]
    items = [item for pair in pairs for item in (pair, pair["text"])]
    expected = [classes(reference, name, item) for item in items]
    model = serve("text-classification", name)
    same(model(items, top_k=None), expected)
    same(model(items[0], top_k=None), expected[0])
    same(model([[items[0]["text"], items[0]["text_pair"]]], top_k=None), expected[:1])


def test_the_best_labels(serve: Serve, reference: Reference) -> None:
    model = serve("text-classification", "roberta_emotions")
    for top_k in (1, 2, 4, 99):
        same(model(TEXTS, topK=top_k), [classes(reference, "roberta_emotions", text, top_k=top_k) for text in TEXTS])
    pipe = reference("text-classification", "roberta_emotions")
    best = [pipe(text, truncation=True, max_length=WINDOW) for text in TEXTS]  # a list of one each
    same(model(TEXTS), [labels[0] for labels in best])
    same(model(TEXTS[0]), best[0])


def test_texts_are_cut_where_the_caller_says(serve: Serve, reference: Reference) -> None:
    name = "distilbert_sentiment"
    model = serve("text-classification", name)
    for size in (3, 10, WINDOW):
        same(
            model(TEXTS, top_k=None, max_length=size, truncation=True, padding=True),
            [classes(reference, name, text, max_length=size) for text in TEXTS],
        )
    assert model(TEXTS, max_length=3) != model(TEXTS)
    same(model(TEXTS, max_length=9999), model(TEXTS))


LONG_PAIRS = {
    "both": {"text": LONG, "text_pair": LONG[:300]},
    "first": {"text": LONG, "text_pair": "a dog"},
    "second": {"text": "a dog", "text_pair": LONG},
    "none": {"text": "a dog", "text_pair": "x"},
}


@pytest.mark.parametrize("name", ["distilbert_sentiment", "deberta_toxicity", "xlm_roberta_languages"])
@pytest.mark.parametrize("truncation", ["longest_first", "only_first", "only_second", True])
@pytest.mark.parametrize("item", [*LONG_PAIRS.values(), LONG, "x"], ids=[*LONG_PAIRS, "long", "short"])
def test_what_is_cut_is_as_the_tokenizer_has_it(
    serve: Serve, reference: Reference, name: str, truncation: str | bool, item: Any
) -> None:
    model = serve("text-classification", name)
    try:
        expected = classes(reference, name, item, truncation=truncation)
    except Exception as error:  # the tokenizers have no class for it
        if not str(error).startswith("Truncation error"):
            raise
        told = model.refusal(item, truncation=truncation)
        assert f"more than {WINDOW} tokens, and cutting it by {json.dumps(truncation)} is not enough" in told
    else:
        same(model(item, top_k=None, truncation=truncation), expected)
        same(model([item, "a dog"], top_k=None, truncation=truncation)[0], expected)


def test_nothing_is_cut_where_the_caller_says_so(serve: Serve, reference: Reference) -> None:
    name = "distilbert_sentiment"
    for whole in (False, "do_not_truncate"):
        for item in (LONG, *(pair for kind, pair in LONG_PAIRS.items() if kind != "none")):
            assert f"this model takes {WINDOW}" in serve("text-classification", name).refusal(item, truncation=whole)
        found = serve("text-classification", name)(LONG_PAIRS["none"], top_k=None, truncation=whole)
        same(found, classes(reference, name, LONG_PAIRS["none"]))


def test_text_classification_refuses_what_it_cannot_answer(serve: Serve) -> None:
    model = serve("text-classification", "distilbert_sentiment")
    assert f"this model takes {WINDOW}; shorten it, or leave truncate on" in model.refusal(LONG, truncate=False)
    assert "'max_length' must be at least 3 for this model, not 2" in model.refusal("x", max_length=2)
    assert "'max_length' must be at least 4" in model.refusal({"text": "x", "text_pair": "y"}, max_length=3)
    assert "the text is empty" in serve("text-classification", "gpt2_sentiment").refusal("")
    request = model.requests(model.call("x"))[0].inputs
    for changed, words in (
        ({PARAMETERS.name: np.array([[b'{"top_k": 0}']])}, "'top_k' must be at least 1, not 0"),
        ({PARAMETERS.name: np.array([[b'{"function_to_apply": "relu"}']])}, '"sigmoid" or "softmax" or "none"'),
        ({"text_pair": np.array([[b"\xff"]])}, "'text_pair' is not valid UTF-8"),
    ):
        (response,) = model.model.execute([InferenceRequest({**request, **changed}, ("label", "score"))])
        assert words in response.refusal.message


def test_the_second_text_is_optional(serve: Serve) -> None:
    model = serve("text-classification", "distilbert_sentiment")
    (request,) = model.requests(model.call("x"))
    without = InferenceRequest({"text": request.inputs["text"]}, request.outputs)
    one, other = model.model.execute([request, without])
    assert one.arrays["label"][0].tolist() == other.arrays["label"][0][:1].tolist()


# ---- zero-shot-classification


@pytest.mark.parametrize("name", NLI)
@pytest.mark.parametrize("parameters", [{}, {"multi_label": True, "hypothesis_template": "it is a {}, or so they say"}])
def test_labels_of_the_caller(serve: Serve, reference: Reference, name: str, parameters: dict[str, Any]) -> None:
    pipe = reference("zero-shot-classification", name)
    model = serve("zero-shot-classification", name)
    for labels in (LABELS, LABELS[:1]):
        expected = [pipe(text, candidate_labels=labels, **parameters) for text in TEXTS[:-1]]
        same(model(TEXTS[:-1], candidate_labels=labels, **parameters), expected)
        same(model(TEXTS[3], candidate_labels=labels, **parameters), expected[3])


def test_more_labels_than_a_batch_has_rows(serve: Serve, reference: Reference) -> None:
    labels = [f"good {word}" for word in dict.fromkeys(LONG.split())] + [f"bad {word}" for word in LONG.split()[:10]]
    expected = reference("zero-shot-classification", "roberta_nli")(TEXTS[0], candidate_labels=labels)
    same(serve("zero-shot-classification", "roberta_nli")(TEXTS[0], candidate_labels=labels), expected)


def test_questions_with_other_labels_share_a_batch(serve: Serve, reference: Reference) -> None:
    pipe, model = reference("zero-shot-classification", "roberta_nli"), serve("zero-shot-classification", "roberta_nli")
    calls = [model.call(TEXTS[count], candidate_labels=LABELS[:count]) for count in (1, 2, 4)]
    requests = [request for call in calls for request in model.requests(call)]
    for count, call, response in zip((1, 2, 4), calls, model.model.execute(requests), strict=True):
        (answer,) = (call.decode(tensors.answers(response.arrays, model.outputs), Profile.JAVASCRIPT),)
        expected = pipe(TEXTS[count], candidate_labels=LABELS[:count])
        same(json.loads(transport.json_response(answer).body), expected)


def test_texts_that_hold_an_end_of_sequence_share_a_batch(serve: Serve, reference: Reference) -> None:
    """BART takes no batch whose rows differ in the number of these tokens."""
    pipe, model = reference("zero-shot-classification", "bart_nli"), serve("zero-shot-classification", "bart_nli")
    texts, labels = ["a</s>b", "a b", "</s></s>"], ["good", "not</s>good"]
    same(model(texts, candidate_labels=labels), [pipe(text, candidate_labels=labels) for text in texts])


def test_all_pairs_of_a_batch_go_through_the_model_together(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve("zero-shot-classification", "roberta_nli")
    sizes = []
    run = model.model.classifier.run
    monkeypatch.setattr(model.model.classifier, "run", lambda rows: (sizes.append(len(rows)), run(rows))[1])
    model(TEXTS[:4], candidate_labels=LABELS)
    model(TEXTS[:5], candidate_labels=LABELS)
    assert sizes == [16, 16, 4]


def test_zero_shot_refuses_what_it_cannot_answer(serve: Serve) -> None:
    model = serve("zero-shot-classification", "roberta_nli")
    assert "must hold {} where the label goes" in model.refusal("x", candidate_labels="a", hypothesis_template="no")
    assert "the text is empty" in model.refusal("", candidate_labels="a")
    assert "makes a hypothesis of" in model.refusal("x", candidate_labels=["a", LONG[:600]])
    request = model.requests(model.call("x", candidate_labels="a"))[0].inputs
    request["candidate_labels"] = np.zeros((1, 0), dtype=np.object_)
    (response,) = model.model.execute([InferenceRequest(request, ("label", "score"))])
    assert "candidate_labels is empty" in response.refusal.message


def test_a_label_that_fills_the_window_but_for_one_token_fits(serve: Serve, reference: Reference) -> None:
    model, pipe = serve("zero-shot-classification", "roberta_nli"), reference("zero-shot-classification", "roberta_nli")
    room = WINDOW - 4 - 1  # <s> text </s></s> hypothesis </s>, and a token of the text
    labels = ["good", "x" * room]
    parameters = {"candidate_labels": labels, "hypothesis_template": "{}"}
    same(model("today is a sunny day", **parameters), pipe("today is a sunny day", **parameters))
    labels[1] += "x"
    assert f"a hypothesis of {room + 1} tokens, but this model has room for {room}" in model.refusal("x", **parameters)


def relabelled(tiny: Callable[[str], Path], tmp_path: Path, **labels: Any) -> Path:
    """A model for NLI that was generated, and whose config.json was changed after that; None takes a key out."""
    made = Options(model=str(tiny("roberta_nli")), output=tmp_path, task="zero-shot-classification", name="nli")
    generation.write(generation.plan(made), force=False)
    path = tmp_path / "nli/1/weights/config.json"
    config = {**json.loads(path.read_text()), **labels}
    path.unlink()  # which may be a link to the tiny model's own
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return tmp_path / "nli"


def test_a_model_without_entailment_does_not_load(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    names = {"id2label": {"0": "no", "1": "maybe", "2": "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}
    with pytest.raises(ValueError, match=r"none of its labels \(no, maybe, yes\) is entailment"):
        generated.initialized(relabelled(tiny, tmp_path, **names))


def test_labels_may_be_named_by_their_numbers_alone(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = generated.initialized(relabelled(tiny, tmp_path, label2id=None))
    assert (model.classifier.entailment, model.classifier.contradiction) == (2, 0)


def test_zero_shot_cuts_the_text_or_refuses_it(serve: Serve, reference: Reference) -> None:
    model, pipe = serve("zero-shot-classification", "roberta_nli"), reference("zero-shot-classification", "roberta_nli")
    expected = pipe(LONG, candidate_labels=LABELS)
    for cut in (True, "only_first", "ONLY_FIRST"):
        same(model(LONG, candidate_labels=LABELS, truncation=cut), expected)
    for whole in (False, "do_not_truncate"):
        told = model.refusal(LONG, candidate_labels=LABELS, truncation=whole)
        assert f"tokens, but this model takes {WINDOW}" in told
        same(model(TEXTS[0], candidate_labels=LABELS, truncate=whole), pipe(TEXTS[0], candidate_labels=LABELS))
    with pytest.raises(PayloadError, match="'truncate' must be true or false, 'do_not_truncate', 'only_first'"):
        model("x", candidate_labels=LABELS, truncation="longest_first")  # which would cut a label


# ---- token-classification


def entities(pipe: Any, text: str, strategy: str, **more: Any) -> list[Any]:
    return json.loads(json.dumps(pipe(text, aggregation_strategy=strategy, **more), default=float))


@pytest.mark.parametrize("name", NER)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("ignored", [None, [], ["O", "B-PER", "LOC"]])
def test_entities(serve: Serve, reference: Reference, name: str, strategy: str, ignored: list[str] | None) -> None:
    pipe, model = reference("token-classification", name), serve("token-classification", name)
    more = {} if ignored is None else {"ignore_labels": ignored}
    expected = [entities(pipe, text, strategy, **more) for text in TEXTS]
    assert max(map(len, expected)) > 3
    same(model(TEXTS, aggregationStrategy=strategy.upper(), **more), expected)
    for text, own in zip(TEXTS, expected, strict=True):
        same(model(text, aggregation_strategy=strategy, **more), own)


@pytest.mark.parametrize("name", NER)
def test_places_are_characters_of_the_text(serve: Serve, name: str) -> None:
    found = serve("token-classification", name)(UNUSUAL, ignore_labels=[])
    places = {UNUSUAL[token["start"] : token["end"]].strip() for token in found}
    assert places >= {"paris", "night", "in"}
    assert any("漢" in place for place in places)


@pytest.mark.parametrize("name", NER)
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("stride", [0, 7, 40])
def test_long_texts_are_read_by_windows(
    serve: Serve, reference: Reference, name: str, strategy: str, stride: int
) -> None:
    pipe, model = reference("token-classification", name), serve("token-classification", name)
    texts = [TEXTS[0], LONG, f"{UNUSUAL} {LONG}", ""]
    expected = [entities(pipe, text, strategy, stride=stride) for text in texts]
    same(model(texts, aggregation_strategy=strategy, stride=stride), expected)
    same(model(texts[2], aggregation_strategy=strategy, stride=stride), expected[2])
    assert expected[1][-1]["end"] > model(LONG, aggregation_strategy=strategy)[-1]["end"] + 200


def test_javascript_gets_groups_unless_it_asks_otherwise(serve: Serve, reference: Reference) -> None:
    pipe, model = reference("ner", "bert_entities"), serve("ner", "bert_entities")
    same(model(TEXTS[2], Profile.JAVASCRIPT), entities(pipe, TEXTS[2], "simple"))
    same(model(TEXTS[2], Profile.JAVASCRIPT, aggregation_strategy="none"), entities(pipe, TEXTS[2], "none"))
    same(model(TEXTS[2], Profile.PYTHON), entities(pipe, TEXTS[2], "none"))


@pytest.mark.parametrize("strategy", [{}, {"aggregation_strategy": "none"}])
def test_a_stride_needs_a_strategy(serve: Serve, strategy: dict[str, str]) -> None:
    model = serve("token-classification", "bert_entities")
    assert "'stride' needs an aggregation_strategy" in model.refusal("x", stride=3, **strategy)


def test_a_stride_must_leave_room_to_go_on(serve: Serve) -> None:
    model = serve("token-classification", "bert_entities")
    told = model.refusal(LONG, stride=WINDOW - 2, aggregation_strategy="simple")
    assert f"'stride' must be from 0 to {WINDOW - 3} for this model, not {WINDOW - 2}" in told
    assert model(LONG, stride=WINDOW - 3, aggregation_strategy="simple")


def test_a_tokenizer_without_offsets(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that are written in Python are."""
    model = serve("token-classification", "bert_entities")
    with_offsets = model(TEXTS[0])
    monkeypatch.setattr(type(model.model.classifier.tokenizer), "is_fast", False)
    expected = [{**token, "start": None, "end": None} for token in with_offsets]
    same(model(TEXTS[0]), expected)
    assert "use simple" in model.refusal("x", aggregation_strategy="first")
    assert "fast tokenizer" in model.refusal("x", aggregation_strategy="simple", stride=1)


# ---- fill-mask


def written(name: str, text: str) -> str:
    return text.replace("[MASK]", "<mask>") if name == "roberta_masked" else text


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"top_k": 1}, {"top_k": 12}, {"targets": ["dog", "machines", "ĝ"]}, {"targets": "sunny"}, {"top_k": 100_000}],
)
def test_masks_are_filled(serve: Serve, reference: Reference, name: str, parameters: dict[str, Any]) -> None:
    pipe, model = reference("fill-mask", name), serve("fill-mask", name)
    size = min(parameters.get("top_k", 5), len(pipe.tokenizer))
    texts = [written(name, text) for text in MASKS]
    expected = [pipe(text, **{**parameters, "top_k": size}) for text in texts]
    same(model(texts, **parameters), expected)
    for text, own in zip(texts, expected, strict=True):
        same(model(text, **parameters), own)
        same(model([text], **parameters), own)


@pytest.mark.parametrize("name", MASKED)
def test_several_masks(serve: Serve, reference: Reference, name: str) -> None:
    pipe, model = reference("fill-mask", name), serve("fill-mask", name)
    texts = [written(name, text) for text in ("[MASK] cat", "the [MASK] saw a [MASK] in [MASK].", "[MASK][MASK]")]
    expected = [pipe(text, top_k=3) for text in texts]
    same(model(texts, top_k=3), expected)
    for text, own in zip(texts, expected, strict=True):
        same(model(text, top_k=3), own)


@pytest.mark.parametrize("name", MASKED)
def test_the_other_spelling_of_the_mask_is_understood(serve: Serve, name: str) -> None:
    model = serve("fill-mask", name)
    assert model("the [MASK] is good") == model("the <mask> is good")
    assert isinstance(model("the [MASK] is [MASK]")[0], list)


@pytest.mark.parametrize(("name", "mask"), [("bert_masked", "[MASK]"), ("roberta_masked", "<mask>")])
def test_a_text_without_a_mask_is_refused(serve: Serve, name: str, mask: str) -> None:
    for text in ("the ___ is good", "", "<extra_id_0>"):
        assert f"no mask; write {mask} where" in serve("fill-mask", name).refusal(text)


@pytest.mark.parametrize("name", MASKED)
def test_long_texts_with_masks_are_cut(serve: Serve, reference: Reference, name: str) -> None:
    model, pipe = serve("fill-mask", name), reference("fill-mask", name)
    text = written(name, "the [MASK] is good. " + LONG)
    arguments = {"truncation": True, "max_length": WINDOW}
    same(model([text, written(name, "[MASK]")])[0], pipe(text, tokenizer_kwargs=arguments))
    same(model(text, tokenizer_kwargs={"truncation": True, "padding": True}), model(text))
    assert f"behind the {WINDOW} tokens" in model.refusal(written(name, LONG + "[MASK]"))
    for whole in (False, "do_not_truncate", "only_second"):
        assert f"this model takes {WINDOW}" in model.refusal(text, tokenizer_kwargs={"truncation": whole})
    for cut in ("longest_first", "only_first"):
        same(model(text, truncation=cut), model(text))


@pytest.mark.parametrize(("texts_at_once", "sizes"), [(3, [3]), (2, [2, 1]), (0, [1, 1, 1])])
def test_a_batch_of_many_logits_is_cut(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, texts_at_once: int, sizes: list[int]
) -> None:
    model = serve("fill-mask", "bert_masked")
    texts = ["[MASK]", "a very [MASK] day", "[MASK] [MASK]"]  # six tokens at most, with [CLS] and [SEP]
    whole = model(texts)
    filler = model.model.filler
    module = importlib.import_module(type(filler).__module__)
    monkeypatch.setattr(module, "MAX_LOGITS", texts_at_once * 6 * filler.config.vocab_size)
    seen = []
    pad = filler.pad
    monkeypatch.setattr(filler, "pad", lambda rows: (seen.append(len(rows)), pad(rows))[1])
    same(model(texts), whole)
    assert seen == sizes


def test_targets_that_are_no_tokens_are_refused(serve: Serve) -> None:
    model = serve("fill-mask", "bert_masked")
    assert "'targets' holds no word" in model.refusal("[MASK]", targets=[])
    assert "'targets' holds no word" in model.refusal("[MASK]", targets=["", " "])
    assert len(model("[MASK]", targets=["", "cat", "cat"])) == 1


def test_a_model_without_a_mask_does_not_load(serve: Serve) -> None:
    with pytest.raises(ValueError, match="no mask token"):
        serve("fill-mask", "bert_without_mask")


# ---- all of them


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("text-classification", "distilbert_sentiment"),
        ("zero-shot-classification", "roberta_nli"),
        ("token-classification", "bert_entities"),
        ("fill-mask", "roberta_masked"),
    ],
)
def test_outputs_have_the_declared_types_and_dims(serve: Serve, task: str, name: str) -> None:
    model = serve(task, name)
    call = model.spec.encode(Payload.from_json(dict(model.spec.example), Limits()))
    for response in model.model.execute(model.requests(call)):
        for tensor in model.outputs:
            array = response.arrays[tensor.name]
            assert array.dtype == NUMPY[tensor.datatype]
            assert all(want in (-1, got) for want, got in zip(tensor.dims, array.shape[1:], strict=True))


@pytest.mark.parametrize("name", [*CLASSIFIERS, *NER, *MASKED])
def test_the_task_of_a_model_is_told_by_its_class(tiny: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    task = {"Masked": "fill-mask", "Token": "token-classification", "Sequen": "text-classification"}
    made = AutoConfig.from_pretrained(tiny(name)).architectures[0]
    plan = generation.plan(Options(model=str(tiny(name)), output=tmp_path))
    assert plan.spec.name == next(task[part] for part in task if f"For{part}" in made)
    assert builder(name)

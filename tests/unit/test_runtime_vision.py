"""Generated models that look at images, against transformers' own pipelines and models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import media, models, reference
from tests.asked import Asked, RefusedError
from tests.models.image_text import CLIP_WINDOW, QUESTION_WINDOW
from tests.reference import images
from triton_python_backend_utils import InferenceRequest

from hub2triton.tasks.media import base64_of
from hub2triton.tensor import PARAMETERS

SHOT, QUESTIONS = "zero-shot-image-classification", "visual-question-answering"
CLASSIFIERS = models.FAMILIES["image-classification"]
MATCHERS = models.FAMILIES[SHOT]
ANSWERERS = (*models.FAMILIES[QUESTIONS], "blip_beams")
FILES = [
    media.image_file(media.photo(50, 40, 1), "jpeg"),
    media.image_file(media.photo(40, 90, 2), "png-alpha"),
    media.image_file(media.photo(64, 33, 3), "webp"),
    media.image_file(media.photo(50, 40, 4), "jpeg", orientation=6),
    media.image_file(media.photo(300, 200, 5), "png-palette"),
    media.image_file(media.photo(50, 40, 6), "png-grey"),
    media.image_file(media.photo(50, 3, 7), "png"),
]
IMAGES = [base64_of(file) for file in FILES]
LABELS = ["a sunny day", "food", "a very old machine, from paris", "x"]
ASKED = ["what is on the table?", "is it a dog", "how many people walk in the street", "what is it", "who?"]

Serve = Callable[[str, str], Asked]
Wanted = Callable[..., Any]


@pytest.fixture(scope="module")
def serve(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    output = tmp_path_factory.mktemp("repository")

    @functools.cache
    def load(task: str, name: str) -> Asked:
        return Asked(task, tiny(name), output, rows=3)

    return load


@pytest.fixture(scope="module")
def wanted(tiny: Callable[[str], Path]) -> Wanted:
    """What the reference answers to each of the inputs alone."""

    def answer(task: str, name: str, inputs: list[Any], **parameters: Any) -> Any:
        return [images.REFERENCES[task](tiny(name), item, parameters) for item in inputs]

    return answer


def same(found: Any, expected: Any) -> None:
    assert reference.difference(found, expected) is None


def about(pictures: list[str], questions: list[str]) -> list[dict[str, str]]:
    return [{"image": image, "question": question} for image, question in zip(pictures, questions, strict=False)]


def count_rows(model: Asked, monkeypatch: pytest.MonkeyPatch, part: str) -> list[tuple[int, ...]]:
    """Fills the list with the images and texts of each forward pass from now on."""
    counted: list[tuple[int, ...]] = []
    engine = getattr(model.model, part).engine
    run = engine.run

    def counting(inputs: dict[str, media.Array]) -> dict[str, media.Array]:
        counted.append(tuple(len(inputs[name]) for name in ("pixel_values", "input_ids") if name in inputs))
        return run(inputs)

    monkeypatch.setattr(engine, "run", counting)
    return counted


# ---- image-classification


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
def test_labels_of_images(serve: Serve, wanted: Wanted, name: str, function: str | None) -> None:
    more = {} if function is None else {"function_to_apply": function}
    given = IMAGES[:-1] if name == "convnext_tags" else IMAGES  # whose processor leaves nothing of so narrow a one
    expected = wanted("image-classification", name, given, **more)
    model = serve("image-classification", name)
    same(model(given, **more), expected)
    for image, labels in zip(given, expected, strict=True):
        same(model(image, **more), labels)


def test_other_images_have_other_labels(wanted: Wanted) -> None:
    """Or else the comparisons here could not fail."""
    for name in CLASSIFIERS[:-1]:
        scores = [item[0]["score"] for item in wanted("image-classification", name, IMAGES[:6])]
        assert np.ptp(scores) > 0.01


def test_the_best_labels(serve: Serve, wanted: Wanted) -> None:
    model = serve("image-classification", "vit_animals")
    assert len(model(IMAGES[0])) == 5
    for top_k in (1, 5, 7, 99):
        same(model(IMAGES[:2], top_k=top_k), wanted("image-classification", "vit_animals", IMAGES[:2], top_k=top_k))


def test_images_of_equal_size_go_through_the_model_together(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve("image-classification", "vit_animals")
    counted = count_rows(model, monkeypatch, "classifier")
    model(IMAGES)
    assert counted == [(len(IMAGES),)]


def test_one_bad_image_spoils_no_other(serve: Serve, wanted: Wanted) -> None:
    model = serve("image-classification", "vit_animals")
    requests = [
        request for file in (IMAGES[0], base64_of(FILES[1][:-30])) for request in model.requests(model.call(file))
    ]
    good, bad = model.model.execute(requests)
    assert "cut short" in bad.error.message
    best = wanted("image-classification", "vit_animals", IMAGES[:1], top_k=1)[0][0]
    assert good.arrays["label"][0][0].decode() == best["label"]


def test_image_classification_refuses_what_it_cannot_answer(serve: Serve) -> None:
    model = serve("image-classification", "vit_animals")
    assert "the bytes are no image" in model.refusal(base64_of(b"some text"))
    assert "20000 x 25000 pixels" in model.refusal(base64_of(media.png_header(20_000, 25_000)))
    assert "1 x 5000 pixels" in model.refusal(base64_of(media.image_file(media.photo(1, 5000))))
    narrow = serve("image-classification", "convnext_tags").refusal(IMAGES[-1])
    assert "this model cannot take an image of 50 x 3 pixels" in narrow
    (request,) = model.requests(model.call(IMAGES[0]))
    for parameters, words in (
        (b'{"top_k": 0}', "'top_k' must be at least 1, not 0"),
        (b'{"function_to_apply": "relu"}', '"sigmoid" or "softmax" or "none"'),
    ):
        changed = {**request.inputs, PARAMETERS.name: np.array([[parameters]], dtype=np.object_)}
        (response,) = model.model.execute([InferenceRequest(changed, ("label", "score"))])
        assert words in response.error.message


def test_a_model_without_its_head_does_not_load(serve: Serve) -> None:
    with pytest.raises(ValueError, match=r"no weights for classifier.*not trained for image-classification"):
        serve("image-classification", "vit_without_head")


# ---- zero-shot-image-classification


@pytest.mark.parametrize("name", MATCHERS)
@pytest.mark.parametrize("more", [{}, {"hypothesis_template": "it is {}, or so they say"}])
def test_labels_of_the_caller(serve: Serve, wanted: Wanted, name: str, more: dict[str, str]) -> None:
    model = serve(SHOT, name)
    for labels in (LABELS, LABELS[:1], [LABELS[1], LABELS[1]]):
        expected = wanted(SHOT, name, IMAGES, candidate_labels=labels, **more)
        same(model(IMAGES, candidate_labels=labels, **more), expected)
        same(model(IMAGES[3], candidate_labels=labels, **more), expected[3])


def test_other_images_fit_other_labels(wanted: Wanted) -> None:
    """Or else the comparisons here could not fail."""
    for name in MATCHERS:
        found = wanted(SHOT, name, IMAGES[:6], candidate_labels=LABELS)
        scores = np.array([[item["score"] for item in sorted(row, key=lambda item: item["label"])] for row in found])
        assert np.ptp(scores, axis=0).max() > 0.01, scores
        assert np.ptp(scores, axis=1).max() > 0.01, scores


@pytest.mark.parametrize("name", MATCHERS)
def test_images_with_other_labels_share_a_batch(
    serve: Serve, wanted: Wanted, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = serve(SHOT, name)
    lists = [LABELS, LABELS[1:3], [LABELS[2], "a blue boy", LABELS[0]]]
    items = [{"image": image, "candidate_labels": labels} for image, labels in zip(IMAGES, lists, strict=False)]
    expected = [wanted(SHOT, name, [image], candidate_labels=own)[0] for image, own in zip(IMAGES, lists, strict=False)]
    counted = count_rows(model, monkeypatch, "matcher")
    same(model(items), expected)
    assert counted == [(3, 5)]  # each label once


@pytest.mark.parametrize("name", MATCHERS)
def test_more_labels_than_go_through_the_model_at_once(serve: Serve, wanted: Wanted, name: str) -> None:
    labels = [f"{word} {index}" for index in range(90) for word in ("cat", "a big dog", "sky")]
    (expected,) = wanted(SHOT, name, IMAGES[:1], candidate_labels=labels)
    found = serve(SHOT, name)(IMAGES[0], candidate_labels=labels)
    assert sorted(item["label"] for item in found) == sorted(labels)  # scores this close may change places
    same([item["score"] for item in found], [item["score"] for item in expected])


def test_long_labels_are_cut_or_refused(serve: Serve, wanted: Wanted) -> None:
    long = "a very old machine " * 12
    model = serve(SHOT, "clip")
    assert f"but this model takes {CLIP_WINDOW}" in model.refusal(IMAGES[0], candidate_labels=long, truncate=False)
    cut = model(IMAGES[0], candidate_labels=[long, "food"])
    assert {item["label"] for item in cut} == {long, "food"}
    same(
        serve(SHOT, "siglip")(IMAGES[0], candidate_labels=[long, "food"]),  # whose pipeline cuts them, too
        wanted(SHOT, "siglip", IMAGES[:1], candidate_labels=[long, "food"])[0],
    )
    words = {"candidate_labels": ["x", "y"], "hypothesis_template": "{} in the old house"}  # a token each
    short = model(IMAGES[0], tokenizer_kwargs={"max_length": 3, "truncation": True}, **words)
    same(short, wanted(SHOT, "clip", IMAGES[:1], candidate_labels=["x", "y"], hypothesis_template="{}")[0])
    assert short != model(IMAGES[0], **words)
    assert "'max_length' must be at least 3" in model.refusal(IMAGES[0], max_length=2, **words)


def test_zero_shot_refuses_what_it_cannot_answer(serve: Serve) -> None:
    model = serve(SHOT, "clip")
    assert "must hold {}" in model.refusal(IMAGES[0], candidate_labels="a", hypothesis_template="no")
    assert "the bytes are no image" in model.refusal(base64_of(b"GIF but not really"), candidate_labels="a")
    (request,) = model.requests(model.call(IMAGES[0], candidate_labels="a"))
    changed = {**request.inputs, "candidate_labels": np.zeros((1, 0), dtype=np.object_)}
    (response,) = model.model.execute([InferenceRequest(changed, ("label", "score"))])
    assert "candidate_labels is empty" in response.error.message


# ---- visual-question-answering


@pytest.mark.parametrize("name", ANSWERERS)
def test_answers_about_images(serve: Serve, wanted: Wanted, name: str) -> None:
    items = [item for shift in range(3) for item in about(IMAGES[:6], [*ASKED[shift:], *ASKED[:shift], ASKED[shift]])]
    expected = wanted(QUESTIONS, name, items)
    model = serve(QUESTIONS, name)
    same(model(items), expected)
    for item, answers in zip(items[:6], expected, strict=False):
        same(model(item), answers)


@pytest.mark.parametrize("name", ANSWERERS)
def test_many_questions_about_one_image(serve: Serve, wanted: Wanted, name: str) -> None:
    expected = wanted(QUESTIONS, name, about([IMAGES[1]] * 5, ASKED))
    model = serve(QUESTIONS, name)
    same(model({"image": IMAGES[1], "question": ASKED}), expected)
    same(model(IMAGES[1], question=ASKED), expected)


def test_other_questions_have_other_answers(wanted: Wanted) -> None:
    """Or else the comparisons here could not fail."""
    for name in ANSWERERS:
        for items in (about([IMAGES[0]] * 5, ASKED), about(IMAGES[:5], [ASKED[0]] * 5)):
            found = wanted(QUESTIONS, name, items)
            assert np.ptp([answers[0]["score"] for answers in found]) > 1e-3 or len({str(row) for row in found}) > 1
    written = [answers[0]["answer"] for answers in wanted(QUESTIONS, "blip_vqa", about([IMAGES[0]] * 5, ASKED))]
    assert len(set(written)) > 1


def test_questions_with_pictures_of_all_sizes_share_a_batch(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve(QUESTIONS, "vilt_vqa")
    counted = count_rows(model, monkeypatch, "answerer")
    model(about(IMAGES[:5], ASKED))
    assert counted == [(5, 5)]


def test_the_best_answers(serve: Serve, wanted: Wanted) -> None:
    item = about(IMAGES, ASKED)[0]
    for top_k in (1, 7, 99):
        same(serve(QUESTIONS, "vilt_vqa")(item, top_k=top_k), wanted(QUESTIONS, "vilt_vqa", [item], top_k=top_k)[0])
    assert len(serve(QUESTIONS, "vilt_vqa")(item)) == 5
    same(serve(QUESTIONS, "blip_vqa")(item, top_k=3), wanted(QUESTIONS, "blip_vqa", [item])[0])


def test_long_questions_are_cut_or_refused(serve: Serve, wanted: Wanted) -> None:
    item = {"image": IMAGES[0], "question": "what is that old machine " * 20}
    for name in ANSWERERS:
        same(serve(QUESTIONS, name)(item), wanted(QUESTIONS, name, [item])[0])
    refused = serve(QUESTIONS, "vilt_vqa").refusal(item, truncation=False)
    assert f"but this model takes {QUESTION_WINDOW}" in refused


def test_visual_question_answering_refuses_what_it_cannot_answer(serve: Serve) -> None:
    model = serve(QUESTIONS, "vilt_vqa")
    with pytest.raises(RefusedError, match="the bytes are no image"):
        model({"image": base64_of(b"x"), "question": "what?"})
    (request,) = model.requests(model.call(about(IMAGES, ASKED)[0]))
    changed = {**request.inputs, "question": np.array([[b" "]], dtype=np.object_)}
    (response,) = model.model.execute([InferenceRequest(changed, ("answer",))])
    assert "the question is empty" in response.error.message

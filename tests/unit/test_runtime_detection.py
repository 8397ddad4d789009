"""Generated models that find objects and segments in images, against transformers' own pipelines."""

from __future__ import annotations

import base64
import functools
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests import media, models, reference
from tests.asked import Asked
from transformers import AutoConfig, AutoModelForObjectDetection, AutoModelForSemanticSegmentation

from hf_runtime import class_map
from hub2triton.tasks.media import base64_of

DETECTION, SEGMENTATION = "object-detection", "image-segmentation"
DETECTORS, SEGMENTERS = models.FAMILIES[DETECTION], models.FAMILIES[SEGMENTATION]
FILES = [
    media.image_file(media.photo(50, 40, 1), "jpeg"),
    media.image_file(media.photo(40, 90, 2), "png-alpha"),
    media.image_file(media.photo(64, 33, 3), "webp"),
    media.image_file(media.photo(50, 40, 4), "jpeg", orientation=6),
    media.image_file(media.photo(300, 200, 5), "png-palette"),
    media.image_file(media.photo(50, 40, 6), "png-grey"),
    media.image_file(media.photo(90, 40, 7), "webp", orientation=8),
]
IMAGES = [base64_of(file) for file in FILES]
SUBTASKS = ["panoptic", "instance", "semantic"]
KEEP_MORE = {"threshold": 0.3, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.1}

Serve = Callable[[str, str], Asked]
Wanted = Callable[..., Any]


@pytest.fixture(scope="module")
def serve(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    output = tmp_path_factory.mktemp("repository")

    @functools.cache
    def load(task: str, name: str) -> Asked:
        return Asked(task, tiny(name), output, rows=4)

    return load


@pytest.fixture(scope="module")
def wanted(tiny: Callable[[str], Path]) -> Wanted:
    """What the pipeline answers to each image alone."""

    def answer(task: str, name: str, images: list[str], **parameters: Any) -> Any:
        return [reference.answer(task, tiny(name), image, parameters) for image in images]

    return answer


def same(found: Any, expected: Any) -> None:
    assert reference.difference(found, expected) is None


def mask(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def overlap(one: str, other: str) -> float:
    """The pixels in both masks, as a part of those in any."""
    first, second = np.asarray(mask(one)) > 0, np.asarray(mask(other)) > 0
    return float((first & second).sum() / (first | second).sum())


def count_rows(model: Asked, monkeypatch: pytest.MonkeyPatch, part: str) -> list[int]:
    """Fills the list with the images of each forward pass from now on."""
    counted: list[int] = []
    engine = getattr(model.model, part).engine
    run = engine.run

    def counting(inputs: dict[str, media.Array]) -> dict[str, media.Array]:
        counted.append(len(inputs["pixel_values"]))
        return run(inputs)

    monkeypatch.setattr(engine, "run", counting)
    return counted


# ---- object-detection


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("parameters", [{}, {"threshold": 0.2}, {"threshold": 0}, {"threshold": 1.0}])
def test_objects_alone_and_beside_images_of_other_sizes(
    serve: Serve, wanted: Wanted, name: str, parameters: dict[str, Any]
) -> None:
    model, expected = serve(DETECTION, name), wanted(DETECTION, name, IMAGES, **parameters)
    assert any(expected) == (parameters.get("threshold") != 1.0)
    for image, own in zip(IMAGES, expected, strict=True):
        same(model(image, **parameters), own)
    same(model(IMAGES, **parameters), expected)
    same(model(IMAGES[::-1] + IMAGES, **parameters), expected[::-1] + expected)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_models_tell_images_and_objects_apart(wanted: Wanted, name: str) -> None:
    """Or the tests here would compare little."""
    found = wanted(DETECTION, name, IMAGES, threshold=0.0)
    assert len({str(own) for own in found}) == len(IMAGES)
    assert all(len({str(item["box"]) for item in own}) > 3 for own in found)
    assert len({item["label"] for own in found for item in own}) > 1


def test_boxes_are_for_the_image_as_people_see_it(serve: Serve) -> None:
    """The numbers of an upright image, however its file turns it."""
    model, image = serve(DETECTION, "detr_objects"), media.photo(50, 40, 4)
    turned = base64_of(media.image_file(image.rotate(90, expand=True), "png", orientation=6))
    upright = base64_of(media.image_file(image, "png"))
    assert model(upright, threshold=0.1) == model(turned, threshold=0.1) != []


@pytest.mark.parametrize(
    ("task", "name", "part"),
    [(DETECTION, name, "detector") for name in DETECTORS] + [(SEGMENTATION, name, "segmenter") for name in SEGMENTERS],
)
def test_images_of_equal_size_share_a_forward_pass(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, task: str, name: str, part: str
) -> None:
    model = serve(task, name)
    wide, high = media.photo(60, 40, 8), media.photo(40, 60, 9)
    images = [base64_of(media.image_file(image, "png")) for image in (wide, high, wide, wide)]
    counted = count_rows(model, monkeypatch, part)
    model(images)
    squares = name in ("rt_detr_objects", "segformer_classes")
    assert sorted(counted) == ([4] if squares else [1, 3])


# ---- image-segmentation


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("parameters", [{}, KEEP_MORE, {"subtask": "semantic"}], ids=["default", "more", "semantic"])
def test_segments_alone_and_beside_images_of_other_sizes(
    serve: Serve, wanted: Wanted, name: str, parameters: dict[str, Any]
) -> None:
    model, expected = serve(SEGMENTATION, name), wanted(SEGMENTATION, name, IMAGES, **parameters)
    assert any(expected)
    for image, own in zip(IMAGES, expected, strict=True):
        same(model(image, **parameters), own)
    same(model(IMAGES, **parameters), expected)
    same(model(IMAGES[::-1] + IMAGES, **parameters), expected[::-1] + expected)


@pytest.mark.parametrize("name", ["mask2former_segments", "detr_segments"])
@pytest.mark.parametrize("subtask", SUBTASKS)
def test_subtasks(serve: Serve, wanted: Wanted, name: str, subtask: str) -> None:
    parameters = {**KEEP_MORE, "subtask": subtask}
    expected = wanted(SEGMENTATION, name, IMAGES, **parameters)
    assert any(expected)
    same(serve(SEGMENTATION, name)(IMAGES, **parameters), expected)


def test_a_subtask_that_a_model_cannot_do(serve: Serve) -> None:
    model = serve(SEGMENTATION, "segformer_classes")
    for subtask in ("panoptic", "instance"):
        assert (
            model.refusal(IMAGES[0], subtask=subtask)
            == f"this model cannot do the subtask '{subtask}'; it can do: semantic"
        )


@pytest.mark.parametrize("name", SEGMENTERS)
def test_masks_are_grey_and_as_large_as_the_image(serve: Serve, name: str) -> None:
    found = serve(SEGMENTATION, name)(IMAGES, **KEEP_MORE)
    sizes = [(50, 40), (40, 90), (64, 33), (40, 50), (300, 200), (50, 40), (40, 90)]
    assert any(found)
    for segments, size in zip(found, sizes, strict=True):
        for segment in segments:
            image = mask(segment["mask"])
            assert (image.format, image.mode, image.size) == ("PNG", "L", size)
            assert set(np.unique(image)) <= {0, 255}
            assert 0 < segment["score"] <= 1


def test_classes_cover_the_image_once(serve: Serve) -> None:
    for image in IMAGES:
        found = serve(SEGMENTATION, "segformer_classes")(image)
        total = sum(np.asarray(mask(segment["mask"]), dtype=int) for segment in found)
        assert len(found) > 1
        assert (total == 255).all()


@pytest.mark.parametrize("together", [1, 2, 3, 20])
@pytest.mark.parametrize("shape", [(7, 5, 6), (20, 1, 1), (20, 4, 1), (20, 9, 9)])
@pytest.mark.parametrize("contrast", [0.0, 0.3, 2.0])
def test_classes_of_a_large_image_are_found_part_by_part(
    monkeypatch: pytest.MonkeyPatch, together: int, shape: tuple[int, int, int], contrast: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(shape, generator=draw) + contrast * torch.arange(shape[0])[:, None, None]
    scores[3] = scores[1]  # of equals the first wins
    size = (33, 50)
    resized = torch.nn.functional.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]
    monkeypatch.setattr(class_map, "NUMBERS_AT_ONCE", together * 33 * 50)
    assert (class_map.classes(scores, size) == resized.argmax(dim=0).numpy()).all()


def test_classes_that_are_nowhere_the_likeliest_are_not_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.randn((150, 8, 8), generator=torch.Generator().manual_seed(0))
    scores[[4, 70]] += 20
    enlarged = []
    interpolate = torch.nn.functional.interpolate
    monkeypatch.setattr(
        torch.nn.functional,
        "interpolate",
        lambda part, *rest, **more: enlarged.append(part) or interpolate(part, *rest, **more),
    )
    class_map.classes(scores, (40, 40))
    assert [part.shape for part in enlarged] == [(1, 2, 8, 8)]


@pytest.mark.parametrize("name", ["mask2former_segments", "detr_segments"])
@pytest.mark.parametrize("subtask", ["panoptic", "instance"])
def test_masks_that_take_too_much_memory_are_found_coarser(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, subtask: str
) -> None:
    model, parameters = serve(SEGMENTATION, name), {**KEEP_MORE, "subtask": subtask}
    image = base64_of(media.image_file(media.photo(600, 400, 5), "png"))
    exact = model(image, **parameters)
    monkeypatch.setattr(model.model.segmenter, "mask_bytes", 1_000_000)
    sizes: list[tuple[int, int]] = []
    process = getattr(model.model.segmenter.processor, f"post_process_{subtask}_segmentation")

    def noting(outputs: Any, target_sizes: list[tuple[int, int]], **more: Any) -> Any:
        sizes.extend(target_sizes)
        return process(outputs, target_sizes=target_sizes, **more)

    noting.__signature__ = inspect.signature(process)  # type: ignore[attr-defined]
    monkeypatch.setattr(model.model.segmenter.processor, f"post_process_{subtask}_segmentation", noting)
    coarse = model(image, **parameters)
    assert [(item["label"], item["score"]) for item in coarse] == [(item["label"], item["score"]) for item in exact]
    assert all(mask(item["mask"]).size == (600, 400) for item in coarse)
    large = [pair for pair in zip(coarse, exact, strict=True) if np.asarray(mask(pair[1]["mask"])).mean() > 64]
    assert large
    assert all(overlap(one["mask"], other["mask"]) > 0.9 for one, other in large)
    assert sizes[0][0] < 400


# ---- what cannot be answered


@pytest.mark.parametrize(("task", "name"), [(DETECTION, DETECTORS[0]), (SEGMENTATION, SEGMENTERS[0])])
def test_what_is_no_image_is_refused(serve: Serve, task: str, name: str) -> None:
    model = serve(task, name)
    assert "the bytes are no image" in model.refusal(base64_of(b"nothing"))
    assert "damaged or cut short" in model.refusal(base64_of(FILES[0][:-200]))
    assert "this model takes at most 50,000,000 pixels" in model.refusal(base64_of(media.png_header(10_000, 10_000)))


@pytest.mark.parametrize(
    ("task", "name"),
    [(DETECTION, name) for name in DETECTORS] + [(SEGMENTATION, name) for name in SEGMENTERS],
)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (3, 70), (70, 3), (1, 40), (300, 1), (2000, 1)])
def test_narrow_images_are_answered_or_refused(serve: Serve, task: str, name: str, size: tuple[int, int]) -> None:
    model = serve(task, name)
    (response,) = model.model.execute(
        model.requests(model.call(base64_of(media.image_file(media.photo(*size, 1), "png"))))
    )
    if response.error is not None:
        assert f"{size[0]} x {size[1]} pixels" in response.refusal.message


def test_a_model_without_the_head_does_not_load(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    for task, name, auto_class in (
        (DETECTION, "yolos_objects", AutoModelForObjectDetection),
        (SEGMENTATION, "segformer_classes", AutoModelForSemanticSegmentation),
    ):
        folder = tmp_path / name
        model = auto_class.from_pretrained(tiny(name))
        body = model.base_model
        body.config.architectures = AutoConfig.from_pretrained(tiny(name)).architectures
        body.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text((tiny(name) / "preprocessor_config.json").read_text())
        (folder / "config.json").write_text((tiny(name) / "config.json").read_text())
        with pytest.raises(ValueError, match=f"it was not trained for {task}"):
            Asked(task, folder, tmp_path / "repository")

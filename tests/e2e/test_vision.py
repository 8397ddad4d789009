"""Served models that look at images give what transformers gives, to every client and in every form of request."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from huggingface_hub import InferenceClient
from tests import media, reference
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.reference import images
from tritonclient.utils import InferenceServerException

from hub2triton.tasks.media import base64_of

pytestmark = pytest.mark.e2e

MODELS = {
    "animals": ("image-classification", "vit_animals"),
    "matcher": ("zero-shot-image-classification", "clip"),
    "chooser": ("visual-question-answering", "vilt_vqa"),
    "writer": ("vqa", "blip_vqa"),
}
FILES = [
    media.image_file(media.photo(300, 200, 1), "jpeg", orientation=6),
    media.image_file(media.photo(40, 90, 2), "png-alpha"),
    media.image_file(media.photo(64, 33, 3), "webp"),
]
IMAGES = [base64_of(file) for file in FILES]
LABELS = ["a sunny day", "food", "an old machine"]
ASKED = ["what is on the table?", "is it a dog", "who?"]
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28 Mozilla/5.0"}

Wanted = Callable[..., Any]


@pytest.fixture(scope="module")
def seeing(served: Service, load: Load, tiny: Callable[[str], Path]) -> Service:
    """The server with this module's models in it."""
    load(*((name, tiny(made), task) for name, (task, made) in MODELS.items()))
    return served


@pytest.fixture(scope="module")
def wanted(tiny: Callable[[str], Path]) -> Wanted:
    """What the reference answers to one image."""

    def answer(name: str, inputs: Any, **parameters: Any) -> Any:
        task, made = MODELS[name]
        return images.REFERENCES[task.replace("vqa", "visual-question-answering")](tiny(made), inputs, parameters)

    return answer


def same(found: Any, expected: Any) -> None:
    assert reference.difference(found, expected) is None


def url(service: Service, name: str) -> str:
    return f"{service.url}/models/{name}"


def read(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def post(service: Service, name: str, inputs: Any, headers: dict[str, str] | None = None, **parameters: Any) -> Any:
    body = {"inputs": inputs, "parameters": parameters}
    return read(httpx.post(url(service, name), json=body, headers=headers, timeout=60))


def send(service: Service, name: str, file: bytes, query: str = "", **headers: str) -> Any:
    return read(httpx.post(f"{url(service, name)}?{query}", content=file, headers=headers, timeout=60))


# ---- forms of requests


def test_image_classification(seeing: Service, wanted: Wanted) -> None:
    expected = [wanted("animals", image) for image in IMAGES]
    assert len({str(labels) for labels in expected}) == 3
    for file, image, labels in zip(FILES, IMAGES, expected, strict=True):
        same(send(seeing, "animals", file, **{"content-type": "image/jpeg"}), labels)  # whatever it is
        same(send(seeing, "animals", file), labels)
        same(post(seeing, "animals", image), labels)
        same(post(seeing, "animals", {"image": f"data:image/png;base64,{image}"}), labels)
    same(post(seeing, "animals", IMAGES), expected)
    same(post(seeing, "animals", IMAGES[:1]), expected[:1])
    same(post(seeing, "animals", IMAGES * 6), expected * 6)  # more than one batch
    more = {"top_k": 2, "function_to_apply": "sigmoid"}
    limited = wanted("animals", IMAGES[0], **more)
    same(post(seeing, "animals", IMAGES[0], topK=2, functionToApply="sigmoid"), limited)
    same(send(seeing, "animals", FILES[0], "top_k=2&function_to_apply=sigmoid&timeout=3"), limited)


def test_zero_shot_image_classification(seeing: Service, wanted: Wanted) -> None:
    given = {"candidate_labels": LABELS}
    expected = [wanted("matcher", image, **given) for image in IMAGES]
    same(post(seeing, "matcher", IMAGES, **given), expected)
    same(post(seeing, "matcher", IMAGES[0], candidateLabels=", ".join(LABELS)), expected[0])
    same(post(seeing, "matcher", {"image": IMAGES[0]}, **given), expected[0])
    same(post(seeing, "matcher", {"image": IMAGES[0], **given}), expected[0])
    same(send(seeing, "matcher", FILES[0], "candidate_labels=" + ",".join(LABELS)), expected[0])
    same(send(seeing, "matcher", FILES[0], "&".join(f"candidate_labels={label}" for label in LABELS)), expected[0])
    more = {**given, "hypothesis_template": "it is {}"}
    same(post(seeing, "matcher", IMAGES, **more), [wanted("matcher", image, **more) for image in IMAGES])


@pytest.mark.parametrize("name", ["chooser", "writer"])
def test_visual_question_answering(seeing: Service, wanted: Wanted, name: str) -> None:
    items = [{"image": image, "question": question} for image in IMAGES for question in ASKED]
    expected = wanted(name, items)
    same(post(seeing, name, items), expected)  # more than one batch
    same(post(seeing, name, items[0]), expected[0])
    same(post(seeing, name, {"image": IMAGES[0], "question": ASKED}), expected[:3])
    same(post(seeing, name, IMAGES[0], question=ASKED[0]), expected[0])
    same(send(seeing, name, FILES[0], f"question={ASKED[0]}", **{"content-type": "image/jpeg"}), expected[0])
    doubled = {"inputs": IMAGES[0], "parameters": {}, "question": ASKED[0], "image": IMAGES[0]}
    same(read(httpx.post(url(seeing, name), json=doubled, timeout=60)), expected[0])
    same(read(httpx.post(url(seeing, name), json=items[0], timeout=60)), expected[0])


def test_the_commands_of_the_documentation(seeing: Service, wanted: Wanted, tmp_path: Path) -> None:
    """As Hugging Face's pages write them."""
    (tmp_path / "test.jpg").write_bytes(FILES[0])

    def curl(name: str, *options: str) -> Any:
        command = ["curl", "-sS", "-X", "POST", url(seeing, name), *options]
        return read(httpx.Response(200, content=subprocess.check_output(command, cwd=tmp_path), headers=JSON))

    file = ("--data-binary", "@test.jpg")
    expected = wanted("animals", IMAGES[0])
    same(curl("animals", *file, "-H", "Content-Type: image/jpeg"), expected)
    same(curl("animals", *file), expected)  # as a form, says curl
    body = f'{{"inputs": {{"image": "{IMAGES[0]}", "question": "{ASKED[0]}"}}}}'
    same(curl("chooser", "-d", body), wanted("chooser", {"image": IMAGES[0], "question": ASKED[0]}))


JSON = {"content-type": "application/json"}


# ---- clients


def told(found: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if value is not None} for item in found]


def test_inference_client(seeing: Service, wanted: Wanted, tmp_path: Path) -> None:
    def client(name: str) -> InferenceClient:
        return InferenceClient(model=url(seeing, name))

    place = tmp_path / "photo.webp"
    place.write_bytes(FILES[2])
    same(told(client("animals").image_classification(FILES[0])), wanted("animals", IMAGES[0]))
    same(told(client("animals").image_classification(str(place))), wanted("animals", IMAGES[2]))
    found = client("animals").image_classification(FILES[0], top_k=2, function_to_apply="softmax")
    same(told(found), wanted("animals", IMAGES[0], top_k=2, function_to_apply="softmax"))
    found = client("matcher").zero_shot_image_classification(FILES[1], LABELS, hypothesis_template="{}!")
    same(told(found), wanted("matcher", IMAGES[1], candidate_labels=LABELS, hypothesis_template="{}!"))
    for name in ("chooser", "writer"):
        found = client(name).visual_question_answering(FILES[0], ASKED[1])
        same(told(found), wanted(name, {"image": IMAGES[0], "question": ASKED[1]}))
    found = client("chooser").visual_question_answering(FILES[0], ASKED[1], top_k=2)
    same(told(found), wanted("chooser", {"image": IMAGES[0], "question": ASKED[1]}, top_k=2))


def test_javascript_client(seeing: Service, wanted: Wanted) -> None:
    """Its parsers want numbers for all scores, and a list of objects."""
    same(send(seeing, "animals", FILES[0], **JAVASCRIPT), wanted("animals", IMAGES[0]))
    given = {"candidate_labels": LABELS}
    same(post(seeing, "matcher", {"image": IMAGES[0]}, JAVASCRIPT, **given), wanted("matcher", IMAGES[0], **given))
    item = {"question": ASKED[0], "image": IMAGES[0]}
    for name in ("chooser", "writer"):
        found = post(seeing, name, item, JAVASCRIPT)
        same(found, wanted(name, item))
        assert isinstance(found[0]["score"], float)


def infer(service: Service, name: str, parameters: str | None = None, **inputs: list[list[str | bytes]]) -> Any:
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{service.grpc_port}")
    rows = len(next(iter(inputs.values())))
    given = {**inputs, **({} if parameters is None else {"parameters_json": [[parameters]] * rows})}
    tensors = []
    for tensor, values in given.items():
        array = np.array(values, dtype=object)
        tensors.append(tritonclient.grpc.InferInput(tensor, list(array.shape), "BYTES"))
        tensors[-1].set_data_from_numpy(array)
    try:
        return client.infer(name, tensors)
    finally:
        client.close()


def test_tritonclient(seeing: Service, wanted: Wanted) -> None:
    def check(result: Any, row: int, column: str, expected: list[dict[str, Any]]) -> None:
        assert result.as_numpy(column)[row].tolist() == [item[column].encode() for item in expected]
        assert result.as_numpy("score").dtype == np.float32
        np.testing.assert_allclose(result.as_numpy("score")[row], [item["score"] for item in expected], atol=1e-4)

    result = infer(seeing, "animals", image=[[file] for file in FILES])
    for row, image in enumerate(IMAGES):
        check(result, row, "label", wanted("animals", image))
    check(
        infer(seeing, "animals", '{"top_k": 1}', image=[[FILES[0]]]), 0, "label", wanted("animals", IMAGES[0], top_k=1)
    )
    result = infer(seeing, "matcher", image=[[FILES[0]], [FILES[1]]], candidate_labels=[LABELS, LABELS[::-1]])
    for row in range(2):
        check(result, row, "label", wanted("matcher", IMAGES[row], candidate_labels=LABELS))
    for name in ("chooser", "writer"):
        result = infer(seeing, name, image=[[FILES[0]], [FILES[0]]], question=[[ASKED[0]], [ASKED[2]]])
        for row, question in enumerate((ASKED[0], ASKED[2])):
            check(result, row, "answer", wanted(name, {"image": IMAGES[0], "question": question}))


def test_tritonclients_mistakes(seeing: Service) -> None:
    for name, parameters, inputs, words in (
        ("animals", None, {"image": [[b"no image"]]}, "the bytes are no image"),
        ("animals", '{"top_k": 0}', {"image": [[FILES[0]]]}, "'top_k' must be at least 1"),
        ("matcher", '{"hypothesis_template": "x"}', {"image": [[FILES[0]]], "candidate_labels": [["a"]]}, "{}"),
        ("chooser", None, {"image": [[FILES[0]]], "question": [[" "]]}, "the question is empty"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            infer(seeing, name, parameters, **inputs)  # type: ignore[arg-type]
        assert words in caught.value.message()
        assert "Traceback" not in caught.value.message()


async def test_rows_of_many_callers_are_answered_as_if_alone(seeing: Service, wanted: Wanted) -> None:
    before = seeing.metric("nv_inference_exec_count", "animals")
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=120) as client:
        files = [*(FILES * 10), FILES[1][:-40]]
        responses = await asyncio.gather(*(client.post(url(seeing, "animals"), content=file) for file in files))
    assert seeing.metric("nv_inference_exec_count", "animals") - before < len(files)
    assert responses.pop().status_code == 400
    expected = [wanted("animals", image) for image in IMAGES] * 10
    for response, labels in zip(responses, expected, strict=True):
        same(read(response), labels)


# ---- what callers get wrong

NEEDED: dict[str, dict[str, Any]] = {
    "animals": {},
    "matcher": {"candidate_labels": LABELS},
    "chooser": {"question": "who?"},
    "writer": {"question": "who?"},
}
BAD: list[tuple[str, Any, str]] = [
    ("a truncated JPEG", base64_of(media.image_file(media.photo(), "jpeg")[:-300]), "cut short"),
    ("text as an image", base64_of(b"hello, this is a text"), "the bytes are no image"),
    ("500 megapixels", base64_of(media.png_header(25_000, 20_000)), "25000 x 20000 pixels"),
    ("a line", base64_of(media.image_file(media.photo(1, 500))), "1 x 500 pixels"),
    ("a path", "/etc/hostname", "names of files are not opened"),
    ("a path as a link", "file:///etc/hostname", "names of files are not opened"),
    ("no base64", "hällo", "not base64"),
    ("an empty list", [], "empty list"),
    ("an empty string", "", "is empty"),
    ("null", None, "null"),
    ("a number", 5, "number 5"),
    ("another object", {"picture": "x"}, '"image"'),
]


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize(("inputs", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_mistakes_are_told_and_harm_nobody(seeing: Service, name: str, inputs: Any, words: str) -> None:
    body = {"inputs": inputs, "parameters": NEEDED[name]}
    response = httpx.post(url(seeing, name), json=body, timeout=60)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]
    assert "Traceback" not in response.text
    assert "/hf_runtime/" not in response.text
    post(seeing, name, IMAGES[0], **NEEDED[name])


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("animals", {"inputs": IMAGES[0], "parameters": {"top_k": "2"}}, "whole number"),
        ("animals", {"inputs": IMAGES[0], "parameters": {"nix": 2}}, "unknown parameter 'nix'"),
        ("animals", {"image": IMAGES[0]}, "no key"),
        ("matcher", {"inputs": IMAGES[0]}, "candidate_labels"),
        ("matcher", {"inputs": IMAGES[0], "parameters": {"candidate_labels": []}}, "candidate_labels"),
        ("matcher", {"inputs": IMAGES[0], "candidate_labels": "a", "hypothesis_template": "b"}, "must hold {}"),
        ("chooser", {"inputs": IMAGES[0]}, "there is no question"),
        ("chooser", {"inputs": {"image": IMAGES[0]}}, "there is no question"),
        ("chooser", {"inputs": {"question": "who?"}}, '"image"'),
        ("chooser", {"inputs": {"image": IMAGES[0], "question": " "}}, "the question is empty"),
        ("writer", {"inputs": {"image": IMAGES[0], "question": 5}}, "number 5"),
    ],
)
def test_other_mistakes(seeing: Service, name: str, body: dict[str, Any], words: str) -> None:
    response = httpx.post(url(seeing, name), json=body, timeout=60)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


def test_bodies_that_are_no_image(seeing: Service) -> None:
    for body, words in ((FILES[0][:-300], "cut short"), (b"hello", "the bytes are no image"), (b"{]", "JSON")):
        response = httpx.post(url(seeing, "animals"), content=body, headers={"content-type": "image/jpeg"}, timeout=60)
        assert response.status_code == 400, response.text
        assert words in response.json()["error"]
    assert httpx.post(url(seeing, "matcher"), content=FILES[0], timeout=60).status_code == 400
    assert httpx.post(url(seeing, "chooser"), content=FILES[0], timeout=60).status_code == 400
    send(seeing, "animals", FILES[0])

"""Generated models of custom: the model's own code, asked as the shim asks Triton."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import functools
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.asked import Asked, RefusedError
from transformers import pipeline
from triton_python_backend_utils import Logger, TritonError

from hf_runtime import response
from hub2triton.shim import body, tensors, transport
from hub2triton.tasks.payload import Limits
from hub2triton.tasks.request import call_of
from hub2triton.tasks.spec import Profile


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model's code does to this process is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("handler", "pipeline", "reversal"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def served(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Asked]:
    return functools.cache(lambda name: Asked("custom", tiny(name), tmp_path))


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Asked]:
    """A model with a handler of one's own."""

    def make(code: str, name: str = "handler.py") -> Asked:
        folder = tmp_path / "own"
        folder.mkdir()
        (folder / name).write_text(code)
        return Asked("custom", folder, tmp_path / "repository")

    return make


def posted(model: Asked, content: bytes, accept: str = "") -> Any:
    """What a body is answered with."""
    call = call_of(model.spec, body.content(content, "", model.spec), Limits(), Profile.TOOLKIT, {})
    (found,) = model.model.execute(model.requests(call))
    if found.error is not None:
        raise RefusedError(found.error.message)
    return transport.response(call.decode(tensors.answers(found.arrays, model.outputs), Profile.TOOLKIT), accept)


@pytest.mark.parametrize(
    "given", [{"inputs": "Hello"}, {}, {"inputs": {"a": [1, None]}, "parameters": {"b": 0.5}, "more": "é🙂"}], ids=str
)
def test_an_echo_answers_what_it_is_asked(served: Any, given: dict[str, Any]) -> None:
    assert json.loads(posted(served("echo"), json.dumps(given).encode()).body) == given


def test_the_code_gets_the_models_folder(served: Any) -> None:
    model = served("echo").model
    assert model.endpoint._call.path == str(model.settings.version_dir / "weights")


def test_a_legacy_pipeline_gets_the_inputs_alone(served: Any) -> None:
    assert served("legacy_pipeline")("abc", ignored=1) == [{"reversed": "cba!"}]
    with pytest.raises(RefusedError, match='has no key "inputs"'):
        posted(served("legacy_pipeline"), b"{}")


def test_handlers_go_before_legacy_pipelines(made: Callable[..., Asked], tmp_path: Path) -> None:
    handler = (
        "class EndpointHandler:\n    def __init__(self, path): pass\n    def __call__(self, data): return 'handler'\n"
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own/pipeline.py").write_text("raise RuntimeError\n")
    (tmp_path / "own/handler.py").write_text(handler)
    assert Asked("custom", tmp_path / "own", tmp_path / "repository")("x") == "handler"


def test_a_handler_over_a_pipeline_answers_as_the_pipeline(served: Any, tiny: Callable[[str], Path]) -> None:
    classify = pipeline("text-classification", model=str(tiny("distilbert_sentiment")), device="cpu")
    texts = ["the old man is happy", "a sad dog"]
    for inputs, asked in ((texts[0], {}), (texts, {"top_k": None})):
        found, wanted = served("classifier_handler")(inputs, **asked), classify(inputs, **asked)
        assert json.dumps(found) == json.dumps(wanted)


def test_the_working_folder_stays(served: Any) -> None:
    before = Path.cwd()
    assert served("many_answers")("x") == {"asked": {"inputs": "x", "parameters": {}}, "folder": True}
    assert Path.cwd() == before


# ---- what it may answer


@pytest.mark.parametrize(
    ("inputs", "answer"),
    [
        ("array", {"array": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "number": 0.5, "whole": 3}),
        ("tensor", [[1.0, None], [None, 2.0]]),
        ("words", "one two"),
        ("numbers", [1, 2]),
        ("large", 2**70),
        ("bytes", "AAE="),
        ("sound", base64.b64encode(b"RIFF").decode()),
    ],
)
def test_answers_of_all_kinds_become_json(served: Any, inputs: str, answer: Any) -> None:
    assert served("many_answers")(inputs) == answer


@pytest.mark.parametrize(
    ("inputs", "accept", "media_type", "content"),
    [
        ("bytes", "*/*", "application/octet-stream", b"\x00\x01"),
        ("sound", "", "audio/wav", b"RIFF"),
        ("words", "", "application/json", b'"one two"'),
    ],
)
def test_bytes_are_files(served: Any, inputs: str, accept: str, media_type: str, content: bytes) -> None:
    found = posted(served("many_answers"), json.dumps({"inputs": inputs}).encode(), accept)
    assert (found.headers["content-type"], found.body) == (media_type, content)


def test_an_image_is_base64_and_a_file_for_who_asks_for_one(served: Any) -> None:
    model = served("many_answers")
    given = json.dumps({"inputs": "image"}).encode()
    as_json, as_file = posted(model, given, "*/*"), posted(model, given, "image/png")
    assert base64.b64decode(json.loads(as_json.body)) == as_file.body
    assert as_file.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(as_file.body))
    assert (image.size, image.getpixel((0, 0))) == ((8, 4), (255, 0, 0))
    (first, second) = model("images")
    assert Image.open(io.BytesIO(base64.b64decode(first))).getpixel((0, 0)) == (0, 255, 0)
    assert second == {"1": [True, None]}


def test_an_image_for_a_body_is_one_for_the_code(served: Any) -> None:
    stream = io.BytesIO()
    picture = Image.new("RGBA", (5, 3), (1, 2, 3, 255))
    picture.putpixel((0, 0), (250, 0, 0, 255))
    picture.save(stream, format="PNG")
    found = posted(served("many_answers"), stream.getvalue(), "image/*")
    image = Image.open(io.BytesIO(found.body))
    assert (image.mode, image.size, image.getpixel((4, 2))) == ("RGB", (5, 3), (250, 0, 0))


@pytest.mark.parametrize("content", [b"RIFF....WAVE", b"\x00" * 40, b"BM", b"P6 is no image", "text, é".encode()])
def test_another_body_is_bytes_for_the_code(served: Any, content: bytes) -> None:
    found = json.loads(posted(served("many_answers"), content).body)
    assert found == {"length": len(content), "parameters": None}


def test_a_damaged_image_is_refused(served: Any) -> None:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(stream, format="PNG")
    with pytest.raises(RefusedError, match="the image is damaged or cut short"):
        posted(served("many_answers"), stream.getvalue()[:1000])


# ---- what goes wrong


def test_what_the_code_raises_is_told_to_the_caller_and_logged(served: Any) -> None:
    Logger.errors.clear()
    assert served("many_answers").refusal("raise") == "'needed'"
    assert 'raise KeyError("needed")' in Logger.errors[-1]
    assert Logger.errors[-1].endswith("\nKeyError")
    assert "a object, which JSON cannot hold" in served("many_answers").refusal("object")
    assert "which is no media type" in served("many_answers").refusal("no type")
    assert served("many_answers")("numbers") == [1, 2]


def test_an_exit_is_a_failure_and_no_end(served: Any) -> None:
    model = served("many_answers")
    (found,) = model.model.execute(model.requests(model.call("exit")))
    assert found.refusal.code == TritonError.INTERNAL
    assert found.refusal.message.endswith("its code asked to end the process (SystemExit: 3)")
    assert model("numbers") == [1, 2]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("class Handler: pass\n", "AttributeError: module 'handler' has no attribute 'EndpointHandler'"),
        ("def broken(:\n", "SyntaxError: invalid syntax (handler.py, line 1)"),
        (
            "class EndpointHandler:\n    def __init__(self, path):\n        raise ValueError('no\\n  luck')\n",
            "ValueError: no luck",
        ),
        ("class EndpointHandler:\n    def __init__(self, path):\n        raise SystemExit(1)\n", "SystemExit: 1"),
        ("class EndpointHandler:\n    def __init__(self): pass\n", "TypeError: "),
        ("class EndpointHandler:\n    def __init__(self, path): pass\n", "EndpointHandler has no __call__"),
    ],
    ids=["import", "class", "syntax", "raise", "exit", "arguments", "call"],
)
def test_code_that_cannot_be_loaded_is_told_in_one_line(made: Callable[..., Asked], code: str, told: str) -> None:
    with pytest.raises(Exception, match=r"^the model's own handler\.py cannot be loaded: ") as error:
        made(code)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert "File" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"), [(b"[1]", "must be a JSON object"), (b"{", "not valid JSON"), (b"[" * 10**5, "not valid JSON")]
)
def test_triton_callers_must_send_an_object(served: Any, text: bytes, words: str) -> None:
    model = served("echo")
    (request,) = model.requests(model.call("x"))
    request.inputs["request_json"] = np.array([[text]], dtype=np.object_)
    (found,) = model.model.execute([request])
    assert words in found.refusal.message
    request.inputs["request_json"] = np.array([[b""]], dtype=np.object_)
    (found,) = model.model.execute([request])
    assert found.arrays["response"].tolist() == [[b"{}"]]


# ---- values


class Colour(enum.IntEnum):
    RED = 3


@dataclasses.dataclass
class Point:
    x: float
    y: Any


class Rows:
    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (-0.0, -0.0),
        (float("nan"), None),
        (float("-inf"), None),
        (np.float64("nan"), None),
        (np.bool_(True), True),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([]), []),
        (torch.tensor(2, dtype=torch.bfloat16), 2.0),
        (torch.tensor([1, 2], dtype=torch.uint8), [1, 2]),
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        ({1: "a", None: "b", Colour.RED: "c", (1, 2): "d"}, {"1": "a", "null": "b", "3": "c", "[1, 2]": "d"}),
        (Colour.RED, 3),
        (Point(1, Point(2.5, b"\x00")), {"x": 1, "y": {"x": 2.5, "y": "AA=="}}),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (PurePosixPath("a/b"), "a/b"),
    ],
    ids=repr,
)
def test_values_become_what_json_has(value: Any, plain: Any) -> None:
    found = response.of(value)
    assert found.type == "application/json"
    assert json.loads(found.content) == plain
    assert repr(response.plain(value)) == repr(plain)


def test_texts_are_utf_8_also_with_half_a_surrogate_pair() -> None:
    assert response.of("é🙂").content == '"é🙂"'.encode()
    assert json.loads(response.of("é\ud83d").content) == "é\ud83d"


@pytest.mark.parametrize("value", [object(), Rows(), len, Point])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="which JSON cannot hold"):
        response.of([value])


def test_a_pair_is_a_file_only_with_a_media_type_behind_bytes() -> None:
    assert response.of((b"x", "text/plain; charset=utf-8")) == response.Response(b"x", "text/plain; charset=utf-8")
    assert response.of(("x", "text/plain")).content == b'["x", "text/plain"]'
    assert response.of((b"x", 1)).content == b'["eA==", 1]'
    for wrong in ("x", "audio/", "a/b\r\nset-cookie: x", "a/b;\n", "text/plain; é", ""):
        with pytest.raises(TypeError, match="which is no media type"):
            response.of((b"x", wrong))

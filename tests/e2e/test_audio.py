"""Served models that hear answer files, however they are sent, as transformers' own pipelines answer their samples."""

from __future__ import annotations

import base64
import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from huggingface_hub import InferenceClient
from tests import media
from tests.e2e.conftest import Load
from tests.e2e.service import Service
from tests.models.audio import RATE
from transformers import pipeline
from tritonclient.utils import InferenceServerException

from hf_runtime import audio

pytestmark = pytest.mark.e2e

MODELS = {
    "letters": ("automatic-speech-recognition", "wav2vec2_ctc"),
    "whispered": ("automatic-speech-recognition", "whisper"),
    "emotions": ("audio-classification", "hubert_emotions"),
}
SOUNDS = [media.voice(seconds, seed=seed) for seed, seconds in enumerate((0.5, 2.0, 1.3, 0.9))]
JAVASCRIPT = {"user-agent": "@huggingface/inference/4.13.28 Mozilla/5.0"}
TYPES = {
    "wav": ["audio/x-wav", "audio/wav", "", "application/octet-stream", "application/x-www-form-urlencoded"],
    "flac": ["audio/flac", "audio/x-flac", "image/png"],
    "mp3": ["audio/mpeg", "audio/mp3"],
    "ogg": ["audio/ogg", "application/ogg"],
    "webm": ["audio/webm; codecs=opus", "video/webm"],
    "m4a": ["audio/mp4", "audio/x-m4a"],
    "amr": ["audio/AMR"],
}
"""What clients call the files; their content decides."""

Reference = Callable[..., Any]


@pytest.fixture(scope="module")
def hearing(served: Service, load: Load, tiny: Callable[[str], Path]) -> Service:
    """The server with this module's models in it."""
    load(*((name, tiny(made), task) for name, (task, made) in MODELS.items()))
    return served


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Reference:
    """What a model's pipeline says of the sound in a file."""

    @functools.cache
    def of(name: str) -> Any:
        task, made = MODELS[name]
        return pipeline(task, model=str(tiny(made)), device="cpu")

    def answer(name: str, content: bytes, /, **parameters: Any) -> Any:
        found = of(name)({"raw": audio.decode(content, RATE), "sampling_rate": RATE}, **parameters)
        return json.loads(json.dumps(found, default=float))

    return answer


def file(index: int, kind: str = "wav-float") -> bytes:
    rate = {"webm": 48_000, "amr": 8_000, "wav-float": RATE}.get(kind, 44_100)
    return media.sound_file(media.voice(len(SOUNDS[index]) / RATE, rate, index), rate, kind)


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def post(service: Service, name: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    response = httpx.post(f"{service.url}/models/{name}", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


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
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-4)
    else:
        assert found == expected


# ---- files


@pytest.mark.parametrize("kind", TYPES)
def test_a_file_is_the_body_whatever_it_is_called(hearing: Service, reference: Reference, kind: str) -> None:
    content = file(1, kind)
    expected = reference("emotions", content)
    for declared in TYPES[kind]:
        headers = {"content-type": declared} if declared else {}
        response = httpx.post(f"{hearing.url}/models/emotions", content=content, headers=headers, timeout=120)
        assert response.status_code == 200, f"{declared}: {response.text}"
        same(response.json(), expected)


def test_curl_sends_a_file(hearing: Service, reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "sample1.flac").write_bytes(file(1, "flac"))
    command = ["curl", "-s", f"{hearing.url}/models/letters", "--data-binary", "@sample1.flac"]
    for more in (["-H", "Content-Type: audio/flac"], []):
        done = subprocess.run([*command, *more], check=True, capture_output=True, cwd=tmp_path)
        same(json.loads(done.stdout), reference("letters", file(1, "flac")))


def test_parameters_beside_a_file_stand_in_the_url(hearing: Service, reference: Reference) -> None:
    def ask(name: str, query: str) -> Any:
        response = httpx.post(f"{hearing.url}/models/{name}?{query}", content=file(0), timeout=120)
        assert response.status_code == 200, response.text
        return response.json()

    same(ask("emotions", "top_k=2"), reference("emotions", file(0), top_k=2))
    same(ask("emotions", "function_to_apply=none"), reference("emotions", file(0), function_to_apply="none"))
    same(ask("letters", "return_timestamps=word"), reference("letters", file(0), return_timestamps="word"))
    same(ask("whispered", "returnTimestamps=true"), reference("whispered", file(0), return_timestamps=True))
    stride = "chunk_length_s=1.0&stride_length_s=0.2"
    same(ask("letters", stride), reference("letters", file(0), chunk_length_s=1.0, stride_length_s=0.2))


# ---- JSON


@pytest.mark.parametrize("name", MODELS)
def test_a_sound_within_json(hearing: Service, reference: Reference, name: str) -> None:
    content, samples = file(1), SOUNDS[1].tolist()
    expected = reference(name, content)
    text = base64_of(content)
    for inputs in (text, f"data:audio/wav;base64,{text}", {"raw": samples, "sampling_rate": RATE}):
        same(post(hearing, name, {"inputs": inputs}), expected)
        same(post(hearing, name, {"inputs": inputs, "parameters": {}}), expected)
        same(post(hearing, name, {"inputs": [inputs]}), [expected])
    same(post(hearing, name, {"inputs": text}, JAVASCRIPT), expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_list_of_sounds(hearing: Service, reference: Reference, name: str) -> None:
    files = [file(index) for index in (0, 1, 2, 3)] * 3  # more than one batch
    expected = [reference(name, content) for content in files[:4]] * 3
    same(post(hearing, name, {"inputs": [base64_of(content) for content in files]}), expected)


def test_instances_are_inputs(hearing: Service, reference: Reference) -> None:
    body = {"instances": [base64_of(file(0)), base64_of(file(1))], "parameters": {"return_timestamps": "word"}}
    response = httpx.post(f"{hearing.url}/models/letters", json=body, timeout=120)
    expected = [reference("letters", file(index), return_timestamps="word") for index in (0, 1)]
    same(response.json()["predictions"], expected)


def test_timestamps_and_languages(hearing: Service, reference: Reference) -> None:
    def ask(name: str, **parameters: Any) -> Any:
        return post(hearing, name, {"inputs": base64_of(file(1)), "parameters": parameters})

    for unit in ("word", "char"):
        same(ask("letters", return_timestamps=unit), reference("letters", file(1), return_timestamps=unit))
    same(ask("letters", return_timestamps=False), reference("letters", file(1)))
    for asked in ({"return_timestamps": True}, {"return_timestamps": "word"}, {"return_language": True}):
        same(ask("whispered", **asked), reference("whispered", file(1), **asked))
    steer = {"max_new_tokens": 6, "num_beams": 1, "language": "fr", "task": "translate"}
    same(ask("whispered", generation_parameters=steer), reference("whispered", file(1), **steer))
    same(ask("whispered", generate_kwargs=steer), reference("whispered", file(1), **steer))


def test_a_sound_longer_than_whispers_window(hearing: Service, reference: Reference) -> None:
    content = media.sound_file(media.voice(9.0, seed=9), RATE, "wav-float")
    expected = reference("whispered", content, return_timestamps=True, num_beams=1)
    parameters = {"return_timestamps": True, "num_beams": 1}
    same(post(hearing, "whispered", {"inputs": base64_of(content), "parameters": parameters}), expected)
    short = post(hearing, "whispered", {"inputs": base64_of(content), "parameters": {"num_beams": 1}})
    assert short == {"text": expected["text"]}


# ---- other clients


def test_huggingface_hub(hearing: Service, reference: Reference, tmp_path: Path) -> None:
    content = file(1)
    path = tmp_path / "sound.flac"
    path.write_bytes(file(1, "flac"))

    letters = InferenceClient(model=f"{hearing.url}/models/letters")
    assert letters.automatic_speech_recognition(content).text == reference("letters", content)["text"]
    assert letters.automatic_speech_recognition(str(path)).text == reference("letters", path.read_bytes())["text"]
    timed = letters.automatic_speech_recognition(content, extra_body={"return_timestamps": "word"})
    expected = reference("letters", content, return_timestamps="word")
    assert timed.text == expected["text"]
    chunks = timed.chunks
    assert chunks is not None
    assert [chunk.text for chunk in chunks] == [chunk["text"] for chunk in expected["chunks"]]
    same([list(chunk.timestamp) for chunk in chunks], [chunk["timestamp"] for chunk in expected["chunks"]])

    emotions = InferenceClient(model=f"{hearing.url}/models/emotions")
    for parameters in ({}, {"top_k": 2}, {"top_k": 1, "function_to_apply": "softmax"}):
        found = emotions.audio_classification(content, **parameters)
        expected = reference("emotions", content, **{"top_k": None, **parameters})
        assert [item.label for item in found] == [item["label"] for item in expected]
        assert [item.score for item in found] == pytest.approx([item["score"] for item in expected], abs=1e-4)


def infer(service: Service, name: str, sounds: list[bytes], parameters: str) -> Any:
    inputs = []
    for tensor, values in (("audio", sounds), ("parameters_json", [parameters.encode()] * len(sounds))):
        inputs.append(tritonclient.grpc.InferInput(tensor, [len(values), 1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([[value] for value in values], dtype=np.object_))
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{service.grpc_port}")
    try:
        return client.infer(name, inputs)
    finally:
        client.close()


def test_tritonclient(hearing: Service, reference: Reference) -> None:
    files = [file(0), file(1)]
    result = infer(hearing, "letters", files, '{"return_timestamps": "char"}')
    expected = [reference("letters", content, return_timestamps="char") for content in files]
    counts = [len(found["chunks"]) for found in expected]
    assert result.as_numpy("count").tolist() == [[count] for count in counts]
    assert [text.decode() for text in result.as_numpy("text")[:, 0]] == [found["text"] for found in expected]
    times = result.as_numpy("chunk_timestamp")
    assert times.dtype == np.float32
    assert times.shape == (2, max(counts), 2)
    for row, found, count in zip(times, expected, counts, strict=True):
        assert row[:count] == pytest.approx(np.array([chunk["timestamp"] for chunk in found["chunks"]]), abs=1e-4)
    parts = result.as_numpy("chunk_text")[0][: counts[0]]
    assert [part.decode() for part in parts] == [chunk["text"] for chunk in expected[0]["chunks"]]

    result = infer(hearing, "letters", files, "{}")
    assert result.as_numpy("chunk_timestamp").shape == (2, 0, 2)
    result = infer(hearing, "emotions", files, '{"top_k": 2}')
    assert result.as_numpy("label").shape == (2, 2)
    scores = [[item["score"] for item in reference("emotions", content, top_k=2)] for content in files]
    assert result.as_numpy("score") == pytest.approx(np.array(scores), abs=1e-4)


def test_tritonclients_mistakes(hearing: Service) -> None:
    for name, content, parameters, words in (
        ("letters", b"", "{}", "no sound file that can be read"),
        ("letters", file(0), '{"return_timestamps": 1}', '"word" or "char"'),
        ("emotions", file(0), '{"top_k": 0}', "'top_k' must be at least 1"),
        ("emotions", b"ffconcat version 1.0\nfile '/etc/hostname'\n", "{}", "no sound file that can be read"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            infer(hearing, name, [content], parameters)
        assert words in caught.value.message()
        assert "Traceback" not in caught.value.message()


# ---- what callers get wrong


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("letters", {"inputs": None}, "not null"),
        ("letters", {"inputs": []}, "empty list"),
        ("letters", {"inputs": "sample1.flac"}, "names of files are not opened"),
        ("letters", {"inputs": base64_of(b"no sound at all")}, "no sound file that can be read"),
        ("letters", {"inputs": base64_of(file(1, "flac")[:9_500])}, "send the whole file"),
        ("letters", {"inputs": [base64_of(file(0)), base64_of(b"no")]}, "no sound file that can be read"),
        ("letters", {"inputs": {"raw": [0.1] * 50, "sampling_rate": RATE}}, "too short for this model"),
        ("letters", {"inputs": {"raw": [0.1] * 50}}, "sampling_rate"),
        ("letters", {"inputs": base64_of(file(0)), "parameters": {"return_timestamps": True}}, "no segments"),
        ("letters", {"inputs": base64_of(file(0)), "parameters": {"language": "fr"}}, "one language only"),
        ("letters", {"inputs": base64_of(file(0)), "parameters": {"nix": 1}}, "unknown parameter 'nix'"),
        ("whispered", {"inputs": base64_of(file(0)), "parameters": {"return_timestamps": "char"}}, "no characters"),
        ("whispered", {"inputs": base64_of(file(0)), "parameters": {"language": "xx"}}, "choose one of: de, en, fr"),
        ("whispered", {"inputs": base64_of(file(0)), "parameters": {"max_new_tokens": 5_000}}, "at most 60"),
        ("emotions", {"inputs": base64_of(file(0)), "parameters": {"top_k": 0}}, "at least 1"),
        ("emotions", {"inputs": {"text": "x"}}, "keys given: 'text'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_told_and_harm_nobody(hearing: Service, name: str, body: dict[str, Any], words: str) -> None:
    url = f"{hearing.url}/models/{name}"
    response = httpx.post(url, json=body, timeout=120)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]
    assert "Traceback" not in response.text
    assert httpx.post(url, content=file(0), timeout=120).status_code == 200


def test_a_body_that_is_no_sound(hearing: Service) -> None:
    begin = file(0)[: file(0).index(b"data") + 8]
    for content in (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"#EXTM3U\n/etc/hostname\n", begin):
        response = httpx.post(f"{hearing.url}/models/letters", content=content, timeout=120)
        assert response.status_code == 400, response.text
        assert "send the whole file" in response.json()["error"]

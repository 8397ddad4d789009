from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from tests import media

from hf_runtime import audio
from hub2triton import tasks
from hub2triton.shim import transport
from hub2triton.tasks.media import Link
from hub2triton.tasks.payload import Limits, Payload, PayloadError
from hub2triton.tasks.spec import Answer, Call, Profile

SPEECH, LABELS = "automatic-speech-recognition", "audio-classification"
TASKS = (SPEECH, LABELS)
FILE = media.sound_file(media.tone(0.1))
BASE64 = base64.b64encode(FILE).decode()


def call(task: str, inputs: Any, query: dict[str, Any] | None = None, /, **parameters: Any) -> Call:
    spec = tasks.find(task)
    assert spec is not None
    body = {"inputs": inputs, "parameters": parameters}
    return spec.encode(Payload.from_json(body, Limits(rows=3), query=query))


def decoded(made: Call, answers: list[Answer], profile: Profile = Profile.TOOLKIT) -> Any:
    """What the caller reads."""
    return json.loads(transport.json_response(made.decode(answers, profile)).body)


def transcript(
    text: str, *chunks: str, times: list[tuple[float, float]] | None = None, languages: list[str] | None = None
) -> Answer:
    def column(texts: list[str] | tuple[str, ...]) -> Any:
        return np.array([item.encode() for item in texts], dtype=np.object_)

    return {
        "text": column([text]),
        "chunk_text": column(chunks),
        "chunk_timestamp": np.array(times or [(math.nan, math.nan)] * len(chunks), np.float32).reshape(-1, 2),
        "chunk_language": column(languages or [""] * len(chunks)),
    }


def labels(*pairs: tuple[str, float]) -> Answer:
    return {
        "label": np.array([label.encode() for label, _ in pairs], dtype=np.object_),
        "score": np.array([score for _, score in pairs], dtype=np.float32),
    }


# ---- sounds


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sound", [FILE, BASE64, f"data:audio/wav;base64,{BASE64}", BASE64.rstrip("=")])
def test_a_sound_is_a_file_in_any_spelling(task: str, sound: Any) -> None:
    assert call(task, sound).rows == [{"audio": FILE}]
    assert call(task, [sound, BASE64]).rows == [{"audio": FILE}, {"audio": FILE}]


def test_a_link_is_left_to_the_server() -> None:
    assert call(SPEECH, "https://example.org/a.flac").rows == [{"audio": Link("https://example.org/a.flac")}]


@pytest.mark.parametrize("key", ["raw", "array"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100.0])
def test_samples_become_a_file(key: str, rate: float) -> None:
    samples = media.voice(0.2, int(rate))
    inputs = {key: samples.tolist(), "sampling_rate": rate, "path": None}
    (row,) = call(SPEECH, inputs).rows
    content = row["audio"]
    assert isinstance(content, bytes)
    assert audio.decode(content, int(rate)) == pytest.approx(samples, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("inputs", "words", "status"),
    [
        ([], '"inputs" is an empty list', 400),
        (None, '"inputs" must be a file\'s bytes in base64, not null', 400),
        (5, "not the number 5", 400),
        ("", '"inputs" is empty', 400),
        ("/etc/passwd.wav", "names of files are not opened", 400),
        ("song.wav", "names of files are not opened", 400),
        ([BASE64, 5], r"inputs\[1\] must be a file", 400),
        ([BASE64] * 4, "4 items; the limit is 3", 413),
        ({}, "keys given: none", 400),
        ({"raw": [0.1], "sampling_rate": 16_000, "speed": 1}, "'speed'", 400),
        ({"raw": [0.1]}, "sampling_rate of .* from 1,000 to 384,000, not null", 400),
        ({"raw": [0.1], "sampling_rate": True}, "not true", 400),
        ({"raw": [0.1], "sampling_rate": 1}, "not the number 1", 400),
        ({"raw": [], "sampling_rate": 16_000}, "at least one number", 400),
        ({"raw": 0.1, "sampling_rate": 16_000}, "at least one number, not the number 0.1", 400),
        ({"raw": [[0.1], [0.2]], "sampling_rate": 16_000}, "numbers only: the samples of one channel", 400),
        ({"raw": ["a"], "sampling_rate": 16_000}, "numbers only", 400),
        ({"raw": [1e39], "sampling_rate": 16_000}, "too large", 400),
        ({"raw": [10**400], "sampling_rate": 16_000}, "too large", 400),
        ({"raw": [math.nan], "sampling_rate": 16_000}, "too large", 400),
    ],
)
def test_what_is_no_sound_is_refused(task: str, inputs: Any, words: str, status: int) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        call(task, inputs)
    assert caught.value.status == status


# ---- parameters


@pytest.mark.parametrize("value", [True, False, "word", "char"])
@pytest.mark.parametrize("name", ["return_timestamps", "returnTimestamps"])
def test_timestamps(name: str, value: Any) -> None:
    assert call(SPEECH, BASE64, **{name: value}).parameters == {"return_timestamps": value}


@pytest.mark.parametrize(
    "nested", ["generate", "generate_kwargs", "generate_parameters", "generation_parameters", "generationParameters"]
)
def test_generation_has_many_names(nested: str) -> None:
    asked = {"max_new_tokens": 5, "early_stopping": "never", "language": "fr", "task": "Translate"}
    wanted = {**asked, "task": "translate"}
    assert call(SPEECH, BASE64, **{nested: asked}).parameters == wanted
    assert call(SPEECH, BASE64, **asked).parameters == wanted


def test_what_the_parts_of_a_sound_share() -> None:
    asked = call(SPEECH, BASE64, chunk_length_s=10, stride_length_s=2).parameters
    assert asked == {"chunk_length_s": 10, "stride_length_s": 2}
    asked = call(SPEECH, BASE64, chunkLengthS=10, strideLengthS=[4, 2.5]).parameters
    assert asked == {"chunk_length_s": 10, "stride_length_s": [4, 2.5]}


def test_parameters_beside_a_file_come_by_the_query() -> None:
    made = call(SPEECH, FILE, {"return_timestamps": "word", "chunk_length_s": 5})
    assert made.parameters == {"return_timestamps": "word", "chunk_length_s": 5}
    assert call(LABELS, FILE, {"topK": 2}).parameters == {"top_k": 2}


@pytest.mark.parametrize(
    ("task", "parameters", "words"),
    [
        (SPEECH, {"return_timestamps": "sentence"}, "true or false, 'word', 'char', not the string 'sentence'"),
        (SPEECH, {"task": "sing"}, "one of transcribe, translate"),
        (SPEECH, {"chunk_length_s": -1}, "at least 0"),
        (SPEECH, {"stride_length_s": [1, 2, 3]}, "'stride_length_s' must be a number of at least 0 or a list of two"),
        (SPEECH, {"stride_length_s": [1, -2]}, "a list of two such numbers"),
        (SPEECH, {"stride_length_s": ["1", True]}, "a list of two such numbers"),
        (SPEECH, {"language": 3}, "'language' must be a string"),
        (SPEECH, {"max_tokens": 3}, "unknown parameter 'max_tokens'; did you mean 'max_new_tokens'"),
        (SPEECH, {"num_return_sequences": 2}, "unknown parameter"),
        (LABELS, {"top_k": 0}, "at least 1"),
        (LABELS, {"function_to_apply": "relu"}, "one of sigmoid, softmax, none"),
        (LABELS, {"return_timestamps": True}, "unknown parameter"),
    ],
)
def test_parameters_that_cannot_be(task: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        call(task, BASE64, **parameters)


# ---- answers


@pytest.mark.parametrize("profile", Profile)
def test_a_transcript_is_an_object_and_a_list_makes_a_list(profile: Profile) -> None:
    one, other = transcript("one"), transcript("")
    assert decoded(call(SPEECH, BASE64), [one], profile) == {"text": "one"}
    assert decoded(call(SPEECH, [BASE64]), [one], profile) == [{"text": "one"}]
    assert decoded(call(SPEECH, [BASE64] * 2), [one, other], profile) == [{"text": "one"}, {"text": ""}]


@pytest.mark.parametrize("profile", Profile)
def test_timestamps_are_told_where_asked_for(profile: Profile) -> None:
    answer = transcript("a b", "a", "b", times=[(0.0, 0.48), (123.46, math.nan)], languages=["english", ""])
    chunks = [{"text": "a", "timestamp": [0.0, 0.48]}, {"text": "b", "timestamp": [123.46, None]}]
    for value in (True, "word", "char"):
        made = call(SPEECH, BASE64, return_timestamps=value)
        assert decoded(made, [answer], profile) == {"text": "a b", "chunks": chunks}
        assert decoded(made, [transcript("")], profile) == {"text": "", "chunks": []}
        assert decoded(made, [transcript("a", "a")], profile)["chunks"] == [{"text": "a", "timestamp": [None, None]}]


def test_a_model_that_always_tells_timestamps() -> None:
    answer = transcript("a", "a", times=[(0.0, 1.0)])
    wanted = {"text": "a", "chunks": [{"text": "a", "timestamp": [0.0, 1.0]}]}
    assert decoded(call(SPEECH, BASE64), [answer]) == wanted


def test_languages_are_told_where_asked_for() -> None:
    answer = transcript("a b", "a", "b", languages=["english", ""])
    wanted = [{"language": "english", "text": "a"}, {"language": None, "text": "b"}]
    assert decoded(call(SPEECH, BASE64, return_language=True), [answer])["chunks"] == wanted
    timed = transcript("a", "a", times=[(0.0, 1.0)], languages=["french"])
    wanted = [{"language": "french", "timestamp": [0.0, 1.0], "text": "a"}]
    made = call(SPEECH, BASE64, return_language=True, return_timestamps=True)
    assert decoded(made, [timed])["chunks"] == wanted


@pytest.mark.parametrize("profile", Profile)
def test_labels_are_a_list_and_a_list_makes_lists(profile: Profile) -> None:
    one, other = labels(("yes", 0.75), ("no", 0.25)), labels(("no", 0.5))
    first, second = [{"label": "yes", "score": 0.75}, {"label": "no", "score": 0.25}], [{"label": "no", "score": 0.5}]
    assert decoded(call(LABELS, BASE64), [one], profile) == first
    assert decoded(call(LABELS, [BASE64]), [one], profile) == [first]
    assert decoded(call(LABELS, [BASE64] * 2), [one, other], profile) == [first, second]


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("Wav2Vec2ForCTC", SPEECH),
        ("WhisperForConditionalGeneration", SPEECH),
        ("ASTForAudioClassification", LABELS),
        ("Wav2Vec2ForSequenceClassification", LABELS),
        ("HubertForSequenceClassification", LABELS),
        ("WhisperForAudioClassification", LABELS),
        ("BertForSequenceClassification", "text-classification"),
    ],
)
def test_models_are_known_by_their_class(architecture: str, task: str) -> None:
    from hub2triton.generate.facts import matches

    found = next(spec for spec in tasks.SPECS if matches(spec.architectures, [architecture]))
    assert found.name == task

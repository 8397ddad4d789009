"""Generated models that hear, against transformers' own pipelines."""

from __future__ import annotations

import base64
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import media
from tests.asked import Asked
from tests.models.audio import RATE, WINDOW_S
from transformers import AutoConfig, AutoModelForAudioClassification, pipeline

SPEECH, LABELS = "automatic-speech-recognition", "audio-classification"
SOUNDS = [media.voice(seconds, seed=seed) for seed, seconds in enumerate((0.5, 2.0, 1.3, 3.9, 0.9))]
LONG = [media.voice(seconds, seed=9 + seed) for seed, seconds in enumerate((9.0, 3.0, 5.5))]
CTC = ["wav2vec2_ctc", "hubert_ctc"]
WHISPER = ["whisper", "whisper_english"]
CLASSIFIERS = ["wav2vec2_commands", "hubert_emotions", "ast_sounds"]

Serve = Callable[[str, str], Asked]
Reference = Callable[..., Any]


@pytest.fixture(scope="module")
def serve(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    output = tmp_path_factory.mktemp("repository")

    @functools.cache
    def load(task: str, name: str) -> Asked:
        return Asked(task, tiny(name), output, rows=3)

    return load


@pytest.fixture(scope="module")
def reference(tiny: Callable[[str], Path]) -> Reference:
    """What the pipeline of a task says of a sound."""

    @functools.cache
    def load(task: str, name: str) -> Any:
        return pipeline(task, model=str(tiny(name)), device="cpu")

    def answer(task: str, name: str, sound: media.Array, /, **parameters: Any) -> Any:
        given = {"raw": sound.copy(), "sampling_rate": RATE}
        return json.loads(json.dumps(load(task, name)(given, **parameters), default=float))

    return answer


def sent(sound: media.Array) -> str:
    """A sound as a request holds it; its samples come through unchanged."""
    return base64.b64encode(media.sound_file(sound, RATE, "wav-float")).decode()


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


def check(model: Asked, sounds: list[media.Array], expected: list[Any], /, **parameters: Any) -> None:
    """Each sound alone, and all of them in batches of several lengths."""
    files = [sent(sound) for sound in sounds]
    same(model(files, **parameters), expected)
    same(model(files[0], **parameters), expected[0])
    same(model(files[-1], **parameters), expected[-1])


# ---- audio-classification


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
def test_labels_of_sounds(serve: Serve, reference: Reference, name: str, function: str | None) -> None:
    more: dict[str, Any] = {} if function is None else {"function_to_apply": function}
    expected = [reference(LABELS, name, sound, top_k=None, **more) for sound in SOUNDS]
    assert expected[0] != expected[1]
    check(serve(LABELS, name), SOUNDS, expected, **more)


def test_the_best_labels(serve: Serve, reference: Reference) -> None:
    name = "wav2vec2_commands"
    for top_k in (1, 2, 4, 99):
        expected = [reference(LABELS, name, sound, top_k=top_k) for sound in SOUNDS]
        same(serve(LABELS, name)([sent(sound) for sound in SOUNDS], topK=top_k), expected)


def test_a_single_label_is_scored_as_the_pipeline_does(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "one_label"
    shutil.copytree(tiny("wav2vec2_commands"), folder)
    config = AutoConfig.from_pretrained(folder, num_labels=1)
    AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    model, told = Asked(LABELS, folder, tmp_path / "repository"), pipeline(LABELS, model=str(folder), device="cpu")
    for function in ({}, {"function_to_apply": "sigmoid"}, {"function_to_apply": "none"}):
        expected = told({"raw": SOUNDS[0].copy(), "sampling_rate": RATE}, **function)
        same(model(sent(SOUNDS[0]), **function), expected)


# ---- speech recognition by CTC


@pytest.mark.parametrize("name", CTC)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_timestamps": "word"},
        {"return_timestamps": "char"},
        {"chunk_length_s": 1.0},
        {"chunk_length_s": 1.0, "stride_length_s": [0.1, 0.3], "return_timestamps": "char"},
        {"chunk_length_s": 0.7, "stride_length_s": 0.2, "return_timestamps": "word"},
    ],
    ids=str,
)
def test_transcripts_by_ctc(serve: Serve, reference: Reference, name: str, parameters: dict[str, Any]) -> None:
    expected = [reference(SPEECH, name, sound, **parameters) for sound in SOUNDS]
    assert len({found["text"] for found in expected}) == len(SOUNDS)
    check(serve(SPEECH, name), SOUNDS, expected, **parameters)


def test_words_are_told_apart(serve: Serve, reference: Reference) -> None:
    """A model whose text has several words, so that the times of words are not those of the whole."""
    sound = media.voice(6.0, seed=3)
    found = serve(SPEECH, "wav2vec2_ctc")(sent(sound), return_timestamps="word")
    same(found, reference(SPEECH, "wav2vec2_ctc", sound, return_timestamps="word"))
    assert len(found["chunks"]) > 1


@pytest.mark.parametrize("name", CTC)
def test_false_asks_a_ctc_model_for_no_timestamps(serve: Serve, reference: Reference, name: str) -> None:
    found = serve(SPEECH, name)(sent(SOUNDS[0]), return_timestamps=False)
    same(found, reference(SPEECH, name, SOUNDS[0]))


def test_a_sound_too_long_for_one_pass_is_read_in_parts(
    serve: Serve, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = serve(SPEECH, "hubert_ctc")
    monkeypatch.setattr(model.model.recognizer, "longest", 2)
    expected = [reference(SPEECH, "hubert_ctc", sound, chunk_length_s=2) for sound in LONG]
    same(model([sent(sound) for sound in LONG]), expected)
    assert "'chunk_length_s' must be from 0 to 2 for this model, not 3" in model.refusal(
        sent(LONG[0]), chunk_length_s=3
    )


def test_sounds_are_padded_only_where_a_mask_hides_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sizes in (("wav2vec2_ctc", [1, 1, 2]), ("hubert_ctc", [4])):
        model = serve(SPEECH, name)
        monkeypatch.setattr(model, "rows", 8)
        engine = model.model.recognizer.engine
        seen: list[int] = []

        def counted(inputs: Any, _seen: list[int] = seen, _run: Any = engine.run) -> Any:
            _seen.append(len(inputs["input_values"]))
            return _run(inputs)

        monkeypatch.setattr(engine, "run", counted)
        model([sent(sound) for sound in (SOUNDS[0], SOUNDS[1], SOUNDS[2], SOUNDS[1][::-1])])
        assert seen == sizes


def test_ctc_models_refuse_what_they_cannot_do(serve: Serve) -> None:
    model = serve(SPEECH, "wav2vec2_ctc")
    sound = sent(SOUNDS[0])
    for parameters, words in (
        ({"return_timestamps": True}, "words and characters, but no segments"),
        ({"language": "fr"}, "one language only; leave 'language'"),
        ({"return_language": True}, "one language only"),
        ({"task": "translate"}, "this model does not translate"),
        ({"chunk_length_s": 61}, "must be from 0 to 60 for this model, not 61"),
        (
            {"chunk_length_s": 1, "stride_length_s": 0.5},
            "parts of 1 seconds that share 0.5 and 0.5 leave less than 0.1",
        ),
        ({"chunk_length_s": 1, "stride_length_s": [0.2, 0.8]}, "make chunk_length_s larger"),
        ({"chunk_length_s": 1, "stride_length_s": [0, 1e308]}, "or stride_length_s smaller"),
    ):
        assert words in model.refusal(sound, **parameters)
    assert model(sound, task="transcribe", max_new_tokens=5) == model(sound)


# ---- Whisper


@pytest.mark.parametrize("name", WHISPER)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_timestamps": True},
        {"return_language": True},
        {"return_language": True, "return_timestamps": True},
        {"max_new_tokens": 5, "num_beams": 1, "no_repeat_ngram_size": 2},
        {"chunk_length_s": 3, "stride_length_s": 1, "num_beams": 1},
        {"chunk_length_s": 3, "return_timestamps": True, "num_beams": 1},
    ],
    ids=str,
)
def test_transcripts_by_whisper(serve: Serve, reference: Reference, name: str, parameters: dict[str, Any]) -> None:
    expected = [reference(SPEECH, name, sound, **parameters) for sound in SOUNDS]
    assert len({found["text"] for found in expected}) > 2
    check(serve(SPEECH, name), SOUNDS, expected, **parameters)


@pytest.mark.parametrize(
    "parameters",
    [{"return_timestamps": "word"}, {"language": "fr", "task": "translate"}, {"language": "German"}],
    ids=str,
)
def test_transcripts_by_a_whisper_of_several_languages(
    serve: Serve, reference: Reference, parameters: dict[str, Any]
) -> None:
    expected = [reference(SPEECH, "whisper", sound, **parameters) for sound in SOUNDS]
    check(serve(SPEECH, "whisper"), SOUNDS, expected, **parameters)


@pytest.mark.parametrize("name", WHISPER)
def test_sounds_longer_than_whispers_window(serve: Serve, reference: Reference, name: str) -> None:
    assert max(map(len, LONG)) > 2 * WINDOW_S * RATE
    parameters = {"num_beams": 1}
    expected = [reference(SPEECH, name, sound, return_timestamps=True, **parameters) for sound in LONG]
    assert expected[0]["chunks"][-1]["timestamp"][0] > WINDOW_S
    check(serve(SPEECH, name), LONG, expected, return_timestamps=True, **parameters)
    # Without timestamps the pipeline reads no long sound, so the text is that of the answer with them.
    short = reference(SPEECH, name, LONG[1], **parameters)
    texts = [{"text": found["text"]} for found in expected]
    texts[1] = short
    check(serve(SPEECH, name), LONG, texts, **parameters)


def test_the_words_of_a_sound_longer_than_whispers_window(serve: Serve, reference: Reference) -> None:
    parameters = {"return_timestamps": "word", "num_beams": 1}
    expected = [reference(SPEECH, "whisper", sound, **parameters) for sound in LONG]
    check(serve(SPEECH, "whisper"), LONG, expected, **parameters)


def test_windows_of_many_rows_are_written_down_together(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve(SPEECH, "whisper")
    monkeypatch.setattr(model, "rows", 8)
    whisper = model.model.recognizer.model
    generate, seen = whisper.generate, []
    monkeypatch.setattr(
        whisper, "generate", lambda values, **more: (seen.append(len(values)), generate(values, **more))[1]
    )
    files = [sent(sound) for sound in SOUNDS]
    model(files, num_beams=1)
    model(files[:2], num_beams=1, return_timestamps="word")
    assert seen == [5, 1, 1]


def test_sampled_transcripts_come_again_with_their_seed(serve: Serve) -> None:
    model = serve(SPEECH, "whisper")
    files = [sent(sound) for sound in SOUNDS[:3]]
    drawn = model(files, temperature=2.0, seed=7)
    assert drawn == model(files, do_sample=True, temperature=2.0, seed=7)
    assert [model(file, temperature=2.0, seed=7) for file in files] == drawn
    assert drawn != model(files, temperature=2.0, seed=8)
    certain = model(files, num_beams=1)
    assert model(files, num_beams=1, temperature=0) == certain
    assert model(files, num_beams=1, do_sample=False, temperature=2.0, top_k=3) == certain
    assert model(files, do_sample=True, seed=7) != certain


def test_times_of_words_leave_the_model_as_it_was(serve: Serve) -> None:
    model = serve(SPEECH, "whisper")
    before = model.model.recognizer.config._attn_implementation
    model(sent(SOUNDS[0]), return_timestamps="word")
    assert model.model.recognizer.config._attn_implementation == before


def test_whisper_refuses_what_it_cannot_do(serve: Serve) -> None:
    sound = sent(SOUNDS[0])
    for name, parameters, words in (
        ("whisper", {"return_timestamps": "char"}, "segments and words, but no characters"),
        ("whisper", {"language": "xx"}, "does not know the language 'xx'; choose one of: de, en, fr"),
        ("whisper", {"language": "Swahili"}, "'swahili'; choose one of: de, en, fr"),
        ("whisper", {"max_new_tokens": 61}, "'max_new_tokens' must be at most 60 for this model, not 61"),
        ("whisper", {"chunk_length_s": 5}, "'chunk_length_s' must be from 0 to 4 for this model, not 5"),
        ("whisper", {"temperature": -1.0}, "'temperature' must be at least 0.0001"),
        ("whisper", {"num_beams": 17}, "'num_beams' must be between 1 and 16"),
        ("whisper_english", {"language": "en"}, "knows English only; leave 'language' and 'task' out"),
        ("whisper_english", {"return_timestamps": "word"}, "no alignment_heads"),
    ):
        assert words in serve(SPEECH, name).refusal(sound, **parameters)


# ---- all of them


@pytest.mark.parametrize(
    ("task", "name"), [(SPEECH, "wav2vec2_ctc"), (SPEECH, "hubert_ctc"), (LABELS, "wav2vec2_commands")]
)
def test_a_sound_of_less_than_a_frame(serve: Serve, task: str, name: str) -> None:
    model = serve(task, name)
    for samples in (1, 399):
        assert "seconds, which is too short for this model; send a longer one" in model.refusal(
            sent(SOUNDS[0][:samples])
        )
    assert model(sent(SOUNDS[0][:400]))


@pytest.mark.parametrize(("task", "name"), [(SPEECH, "whisper"), (LABELS, "ast_sounds")])
@pytest.mark.parametrize("samples", [1, 100, 400])
def test_a_very_short_sound_is_answered_or_refused(serve: Serve, task: str, name: str, samples: int) -> None:
    model = serve(task, name)
    (response,) = model.model.execute(model.requests(model.call(sent(SOUNDS[0][:samples]))))
    assert response.error is None or "too short for this model" in response.refusal.message


@pytest.mark.parametrize(("task", "name"), [(SPEECH, "hubert_ctc"), (LABELS, "hubert_emotions")])
def test_silence_has_an_answer_of_numbers(serve: Serve, reference: Reference, task: str, name: str) -> None:
    silence = np.zeros(RATE, np.float32)
    same(serve(task, name)(sent(silence)), reference(task, name, silence))


@pytest.mark.parametrize(("task", "name"), [(SPEECH, "wav2vec2_ctc"), (SPEECH, "whisper"), (LABELS, "ast_sounds")])
def test_one_bad_file_fails_only_its_own_request(serve: Serve, task: str, name: str) -> None:
    model = serve(task, name)
    good, bad = sent(SOUNDS[0]), base64.b64encode(b"no sound").decode()
    requests = [request for inputs in (good, bad, good) for request in model.requests(model.call(inputs))]
    first, second, third = model.model.execute(requests)
    assert "no sound file that can be read" in second.refusal.message
    assert first.error is None
    assert third.error is None
    assert "no sound file that can be read" in model.refusal([good, bad])


def test_a_sound_longer_than_the_operator_allows(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    model = serve(LABELS, "ast_sounds")
    assert model.model.audio.max_seconds == 1800
    monkeypatch.setattr(model.model.audio, "max_seconds", 1)
    assert "longer than 1 seconds" in model.refusal(sent(SOUNDS[1]))
    assert model(sent(SOUNDS[0]))


def test_a_model_without_its_head_does_not_load(serve: Serve) -> None:
    with pytest.raises(ValueError, match="no weights for lm_head"):
        serve(SPEECH, "wav2vec2_without_head")

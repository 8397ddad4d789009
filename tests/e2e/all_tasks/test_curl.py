"""The commands of Hugging Face's page of supported tasks, by curl itself: as people paste them, mistakes included."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import media
from tests.e2e.service import Service

from hub2triton import tasks
from hub2triton.tasks.media import base64_of

pytestmark = pytest.mark.e2e

JSON = "Content-Type: application/json"
PHOTO = media.image_file(media.photo(), "jpeg")
SPEECH = media.sound_file(media.voice(1), kind="flac")
IMAGE, SOUND = base64_of(PHOTO), base64_of(SPEECH)
FEW = '"parameters": {"max_new_tokens": 5}'


@dataclass(frozen=True)
class Command:
    """What follows `curl URL -X POST`; `@photo.jpg` and `@speech.flac` are files.

    Attributes:
        query: What follows the URL.
    """

    task: str
    data: str
    header: str = JSON
    query: str = ""


COMMANDS = (
    # A line break in the middle of a string is no JSON; the page has it.
    Command("text-classification", '{"inputs": "This sound track was beautiful! I would recomend\nit to all!"}'),
    Command("text-classification", '{"inputs": "This sound track was beautiful!"}', "content-type: APPLICATION/JSON"),
    Command("text-classification", "This sound track was beautiful!", "Content-Type: text/plain"),
    Command(
        "zero-shot-classification",
        '{"inputs": "I would like to be\nrefunded!", "parameters": {"candidate_labels": ["refund", "legal", "faq"]}}',
    ),
    Command("token-classification", '{"inputs": "My name is Sarah Jessica Parker but you can call me Jessica"}'),
    Command("question-answering", '{"inputs": {"question": "Where do I live?", "context": "I live in Berlin."}}'),
    Command("fill-mask", '{"inputs": "The answer to the universe is [MASK]."}'),
    Command("summarization", f'{{"inputs": "The tower is 324 metres tall,\nabout the same height.", {FEW}}}'),
    Command("translation", f'{{"inputs": "My name is Sarah and I live in London", {FEW}}}'),
    Command("text2text-generation", f'{{"inputs": "question: What is 42? context: 42 is the answer.", {FEW}}}'),
    Command("text-generation", f'{{"inputs": "My name is Julien and I like to", {FEW},}}'),
    Command("conversational", f'{{"inputs": [{{"role": "user", "content": "Who is it?"}}], {FEW}}}'),
    Command("feature-extraction", '{"inputs": "Today is a sunny day."}'),
    Command("sentence-embeddings", '{"inputs": "Today is a sunny day."}'),
    Command(
        "sentence-similarity",
        '{"inputs": {"source_sentence": "That is a happy person", "sentences": ["That is a happy dog", "A day"]}}',
    ),
    Command("sentence-similarity", '{"inputs": ["This is the source sentence", "this is the second"]}'),
    Command("sentence-ranking", '{"inputs": ["This is the first sentence", "this is the second"]}'),
    Command(
        "table-question-answering",
        '{"inputs": {"query": "How many stars?", "table": {"Repository": ["a", "b"], "Stars": ["36542", "4512"]}}}',
    ),
    *(Command("image-classification", "@photo.jpg", f"Content-Type: {kind}") for kind in ("image/jpg", "image/jpeg")),
    Command("image-classification", "@photo.jpg", "Content-Type: image/x-image", "?top_k=2"),
    Command("image-classification", "@photo.jpg", "Content-Type:"),
    Command("image-classification", f'{{"inputs": "{IMAGE}"}}'),
    Command("object-detection", "@photo.jpg", "Content-Type: image/jpg", "?threshold=0.01"),
    Command("image-segmentation", "@photo.jpg", "Content-Type: image/jpg"),
    Command("automatic-speech-recognition", "@speech.flac", "Content-Type: audio/flac"),
    Command("automatic-speech-recognition", "@speech.flac", "Content-Type: audio/x-audio"),
    Command("automatic-speech-recognition", f'{{"inputs": "{SOUND}"}}'),
    Command("automatic-speech-recognition", f'{{"inputs": "{SOUND}", "parameters": {{"return_timestamps": "word"}}}}'),
    Command("audio-classification", "@speech.flac", "Content-Type: audio/flac"),
    Command("audio-classification", f'{{"inputs": "{SOUND}"}}'),
    Command(
        "visual-question-answering", f'{{"inputs": {{"image": "{IMAGE}", "question": "What is in the picture?"}}}}'
    ),
    Command(
        "zero-shot-image-classification",
        f'{{"inputs": "{IMAGE}", "parameters": {{"candidate_labels": ["cat", "dog"]}}}}',
    ),
    Command("zero-shot-image-classification", "@photo.jpg", "Content-Type: image/jpg", "?candidate_labels=cat,dog"),
    # A comma behind the last item is no JSON; the page has it.
    Command("text-to-image", '{"inputs": "realistic render portrait", "parameters": {"num_inference_steps": 2,},}'),
    Command("custom", '{"inputs": "Hello", "moreData": 1, "customTask": true}'),
    Command("custom", "@photo.jpg", "Content-Type: image/jpg"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.task}-{command.data[:24]}")
def test_a_command(all_tasks: Service, command: Command, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    (tmp_path / "speech.flac").write_bytes(SPEECH)
    url = f"{all_tasks.url}/models/{command.task}{command.query}"
    sent = ["--data-binary" if command.data.startswith("@") else "-d", command.data]
    told = ["--output", "answer", "--write-out", "%{http_code} %{content_type}"]
    done = subprocess.run(
        ["curl", "-sS", url, "-X", "POST", *sent, "-H", command.header, *told],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    answer: Any = (tmp_path / "answer").read_bytes()
    assert (done.returncode, done.stdout[:3]) == (0, "200"), f"{done.stderr} {answer!r}"
    if "image/png" in done.stdout:
        assert answer.startswith(b"\x89PNG")
    else:
        assert json.loads(answer) or command.task == "token-classification"


def test_every_task_of_the_page_has_a_command() -> None:
    assert {command.task for command in COMMANDS} == set(tasks.names())

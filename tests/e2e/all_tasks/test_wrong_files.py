"""Files that are damaged, of another kind or too large: refused in words, and no memory is lost to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests import media
from tests.e2e.service import Service

from hub2triton import tasks
from hub2triton.tasks.media import base64_of
from hub2triton.tasks.spec import Media

pytestmark = pytest.mark.e2e

PHOTO = media.image_file(media.photo(400, 300), "jpeg")
FLAC = media.sound_file(media.voice(1), kind="flac")
WAV = media.sound_file(media.tone(0.1))
SPECS = [spec for spec in tasks.SPECS if spec.media in (Media.IMAGE, Media.AUDIO)]
MIB = 2**20
MOST_GROWTH_MIB = 64
"""Far less than one of the large images has, decoded."""

WRONG: dict[Media, dict[str, bytes]] = {
    Media.IMAGE: {
        "cut short": PHOTO[: len(PHOTO) // 2],
        "only its beginning": PHOTO[:4],
        "a text": b"this is no image",
        "a sound": FLAC,
        "500 megapixels by its header": media.png_header(25_000, 20_000),
        "500 megapixels of nothing": media.png_bomb(25_000, 20_000),
    },
    Media.AUDIO: {
        "cut short before the first sample": FLAC[:40],
        "a text": b"this is no sound",
        "an image": PHOTO,
        "no second of sound": WAV[: WAV.index(b"data") + 8],  # its header alone
    },
}


def body_of(name: str, file: bytes) -> dict[str, Any]:
    """The task's own example with another file."""
    spec = tasks.find(name)
    assert spec is not None
    inputs, sent = spec.example["inputs"], base64_of(file)
    inputs = {**inputs, "image": sent} if isinstance(inputs, dict) else sent
    return {**spec.example, "inputs": inputs}


def memory(served: Service) -> dict[int, float]:
    """The memory of every model's process in MiB, by its id."""
    processes = psutil.Process(served.process.pid).children(recursive=True)
    stubs = [process for process in processes if "backend_stub" in process.name()[:15] or "triton_py" in process.name()]
    return {process.pid: process.memory_info().rss / MIB for process in stubs}


@pytest.fixture(scope="module")
def alive_after(all_tasks: Service) -> Iterator[Callable[[str], None]]:
    def check(name: str) -> None:
        spec = tasks.find(name)
        assert spec is not None
        answer = httpx.post(f"{all_tasks.url}/models/{name}", content=spec.example_json().encode(), timeout=120)
        assert answer.status_code == 200

    return check


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_wrong_files(all_tasks: Service, alive_after: Callable[[str], None], spec: Any) -> None:
    url = f"{all_tasks.url}/models/{spec.name}"

    def ask() -> None:
        for kind, file in WRONG[spec.media].items():
            response = httpx.post(url, json=body_of(spec.name, file), timeout=120)
            assert response.status_code == 400, f"{kind}: {response.status_code} {response.text}"
            told = response.json()["error"]
            assert "Traceback" not in told
            assert str(Path.cwd()) not in told
            assert 10 < len(told) < 400, told

    def grown() -> float:
        """By how many MiB a model's process has grown at most, over five times of all files."""
        before = memory(all_tasks)
        for _ in range(5):
            ask()
        alive_after(spec.name)
        after = memory(all_tasks)
        assert after.keys() == before.keys()  # no process died
        return max(after[pid] - before[pid] for pid in before)

    alive_after(spec.name)
    ask()  # what is imported and allocated once is not lost
    # What leaks, leaks each time; a heap may by chance keep a block that it was asked for.
    growths = [grown()]
    while growths[-1] >= MOST_GROWTH_MIB and len(growths) < 3:
        growths.append(grown())
    print(f"{spec.name}: a model's process grew by {', '.join(f'{each:.0f}' for each in growths)} MiB at most")
    assert growths[-1] < MOST_GROWTH_MIB


@pytest.mark.parametrize("name", ["image-classification", "automatic-speech-recognition"])
@pytest.mark.parametrize("told", ["/etc/hostname", "file:///etc/hostname", "http://127.0.0.1:1/x.png"])
def test_names_and_addresses_of_files_are_not_followed(all_tasks: Service, name: str, told: str) -> None:
    response = httpx.post(f"{all_tasks.url}/models/{name}", json={"inputs": told}, timeout=60)
    assert response.status_code == 400
    assert Path("/etc/hostname").read_text().strip() not in response.text

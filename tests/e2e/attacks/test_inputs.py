"""Inputs that are no content: names of files, addresses, bombs, and parameters that would change what is run."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from tests import media
from tests.e2e.attacks import bait
from tests.e2e.attacks.conftest import MODELS, Target

pytestmark = pytest.mark.e2e

MEDIA = ("pictures", "sounds")
MIB = 2**20


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("model", MEDIA)
@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "FILE:{}", "file://localhost{}", "{}\x00.png", "data:{}", "concat:{}"]
)
def test_the_name_of_a_file_is_not_opened(target: Target, file: bait.File, model: str, form: str) -> None:
    named = form.format(file.path)
    for body in ({"inputs": named}, {"inputs": [named]}, {"inputs": {"image": named}}, {"inputs": {"path": named}}):
        answer = target.post(model, body)
        assert answer.status_code == 400
        assert bait.MARK not in answer.text
    assert target.post(model, content=named.encode()).status_code == 400
    assert target.post(model, content=named.encode(), headers={"content-type": "text/plain"}).status_code == 400
    assert not file.opened()


@pytest.mark.parametrize("list_of", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"])
def test_a_list_of_files_is_not_followed(target: Target, file: bait.File, list_of: str) -> None:
    assert target.post("sounds", content=list_of.format(file.path).encode()).status_code == 400
    svg = f'<svg xmlns:xlink="x"><image xlink:href="{file.path}"/></svg>'
    assert target.post("pictures", content=svg.encode()).status_code == 400
    assert not file.opened()


@pytest.mark.parametrize("model", MEDIA)
def test_no_address_is_asked_unless_hosts_are_allowed(target: Target, site: bait.Site, model: str) -> None:
    for url in (f"http://127.0.0.1:{site.port}/a.png", f"HTTPS://localhost:{site.port}/", f"http://[::1]:{site.port}/"):
        answer = target.post(model, {"inputs": url})
        assert answer.status_code == 400
        assert "--allow-urls" in answer.json()["error"]
    assert site.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "127.1"],
)
def test_no_inner_address_is_asked_even_where_every_host_is_allowed(
    target: Target, following: str, site: bait.Site, host: str
) -> None:
    for port in (site.port, target.served.http_port):
        answer = httpx.post(f"{following}/models/pictures", json={"inputs": f"http://{host}:{port}/a.png"}, timeout=60)
        assert answer.status_code == 400
        told = answer.json()["error"]
        assert any(word in told for word in ("not public", "could not be read", "fetches nothing", "no valid link"))
    assert site.asked == []


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/"]
)
def test_the_metadata_of_clouds_are_not_asked(following: str, url: str) -> None:
    answer = httpx.post(f"{following}/models/pictures", json={"inputs": url}, timeout=60)
    assert answer.status_code == 400
    told = answer.json()["error"]
    # Not that nothing has answered there, as it would on most machines. A name may be one that nobody knows here.
    assert "leads to an address that is not public" in told or (".internal" in url and "could not be read" in told)


@pytest.mark.parametrize("scheme", ["ftp", "gopher", "dict", "unix", "jar", "s3", "rtmp", "tcp"])
def test_other_schemes_are_no_addresses(target: Target, following: str, site: bait.Site, scheme: str) -> None:
    named = f"{scheme}://127.0.0.1:{site.port}/a.png"
    assert target.post("pictures", {"inputs": named}).status_code == 400
    assert httpx.post(f"{following}/models/sounds", json={"inputs": named}, timeout=60).status_code == 400
    assert site.asked == []


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../a.png", b"\0" * (100 * MIB))
    return stream.getvalue()


BOMBS = {
    "PNG": lambda: media.png_bomb(25_000, 20_000),
    "PNG header": lambda: media.png_header(60_000, 60_000),
    "wide PNG": lambda: media.png_bomb(2_000_000, 1),
    "GIF": lambda: b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + b"\0" * 100,
    "ZIP": zipped,
    "GZIP": lambda: gzip.compress(b"\0" * (100 * MIB)),
    "FLAC": lambda: media.sound_file(np.zeros(8000 * 3600 * 3, np.float32), 8000, "flac"),
    "long WAV": lambda: (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\xff\xff\xff\x7f\xff\xff\xff\x7f\x02\0\x10\0data"
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_do_not_go_off(target: Target, kind: str) -> None:
    content = BOMBS[kind]()
    assert len(content) < 10 * MIB
    for model in MEDIA:
        (process,) = target.served.model_processes(model)
        before = psutil.Process(process.pid).memory_info().rss
        for answer in (target.post(model, content=content), target.post(model, {"inputs": base64_of(content)})):
            assert answer.status_code in (400, 413), answer.text
            assert "Traceback" not in answer.text
        assert psutil.Process(process.pid).memory_info().rss - before < 200 * MIB


UNSAFE: dict[str, Any] = {
    "custom_generate": "someone/code",
    "trust_remote_code": True,
    "tokenizer": "someone/else",
    "model": {"path": "/etc"},
    "assistant_model": "someone/else",
    "logits_processor": ["x"],
    "stopping_criteria": ["x"],
    "prefix_allowed_tokens_fn": "os.system",
    "generation_config": {"custom_generate": "someone/code"},
    "cache_implementation": "offloaded",
    "compile_config": {"mode": "max-autotune"},
    "chat_template": "{{ 1 }}",
    "cache_dir": "/tmp",
    "revision": "main",
    "token": "x",
    "device": "cuda",
    "__class__": "x",
}


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("model", MODELS)
def test_parameters_that_would_change_what_is_run_are_refused(target: Target, model: str, name: str) -> None:
    picture = base64_of(media.image_file(media.photo(32, 32), "png"))
    sound = base64_of(media.sound_file(media.tone(0.5)))
    inputs = {"pictures": picture, "sounds": sound}.get(model, "a")
    for parameters in ({name: UNSAFE[name]}, {"generate_kwargs": {name: UNSAFE[name]}}):
        answer = target.post(model, {"inputs": inputs, "parameters": parameters})
        if name == "model" and answer.status_code == 200:
            continue  # clients send it, and it is passed over
        assert answer.status_code == 400
        assert "unknown parameter" in answer.json()["error"]


@pytest.mark.parametrize("path", ["", "/v1/embeddings", "/v1/completions"])
def test_halves_of_characters_are_refused(target: Target, path: str) -> None:
    model = "writer" if "completions" in path else "embeddings"
    key = {"/v1/embeddings": "input", "/v1/completions": "prompt"}.get(path, "inputs")
    body = json.dumps({key: "\ud800"}).encode()
    answer = target.post(f"{model}{path}", content=body)
    assert answer.status_code == 400
    wrong = json.dumps({"inputs": "a", "parameters": {"stop": ["\udfff"]}}).encode()
    assert target.post("writer", content=wrong).status_code == 400

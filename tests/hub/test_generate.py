"""generate-repo against a Hub: from an id to a repository, and every way in which the Hub can refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hub2triton import model_config

if TYPE_CHECKING:
    from tests.hub.server import HubServer

GENERATE = Path(sys.executable).with_name("generate-repo")
SAFETENSORS = bytes(range(256)) * 400  # past the size that the Hub hands over to its CDN
FILES = {
    "config.json": b'{"architectures": ["BertModel"]}',
    "modules.json": b"[]",
    "tokenizer.json": b"{}",
    "model.safetensors": SAFETENSORS,
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"graph",
    "README.md": b"# A model",
}


class Generate:
    """Runs generate-repo in a cache and a folder of its own."""

    def __init__(self, folder: Path, hub: HubServer) -> None:
        self.output = folder / "model_repository"
        self.cache = folder / "home" / "hub"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        self.environment = {**kept, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home")}

    def __call__(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [GENERATE, *options, "--output", self.output],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done

    def refused(self, code: int, *options: str, **environment: str) -> str:
        """The one paragraph of a run that ends with an exit code and writes nothing."""
        done = self(*options, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr.startswith("generate-repo: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert not self.output.exists() or not list(self.output.iterdir())
        return done.stderr


@pytest.fixture
def generate(tmp_path: Path, hub: HubServer) -> Generate:
    return Generate(tmp_path, hub)


def test_from_an_id_to_a_repository(hub: HubServer, generate: Generate) -> None:
    sha = hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    done = generate("org/name")
    assert done.returncode == 0, done.stderr
    folder = generate.output / "org--name"
    parameters = model_config.parameters(model_config.parse((folder / "config.pbtxt").read_text()))
    assert parameters["model_id"] == "org/name"
    assert parameters["revision"] == sha
    assert parameters["task"] == "feature-extraction"
    weights = folder / "1" / "weights"
    assert {path.name for path in weights.iterdir()} == {
        "config.json",
        "modules.json",
        "tokenizer.json",
        "model.safetensors",
    }
    assert (weights / "model.safetensors").read_bytes() == SAFETENSORS
    # Linked to the cache, not stored twice.
    assert (weights / "model.safetensors").stat().st_nlink == 2
    for label, source in (("task", "the Hub's metadata"), ("library", "modules.json"), ("revision", "main")):
        line = next(line for line in done.stdout.splitlines() if line.startswith(label))
        assert source in line
    fetched = {request.path.rsplit("/", 1)[1] for request in hub.downloads}
    assert not fetched & {"pytorch_model.bin", "model.onnx"}


def test_a_rerun_downloads_and_changes_nothing(hub: HubServer, generate: Generate) -> None:
    hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    assert generate("org/name").returncode == 0
    files = [path for path in generate.output.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    downloads = len(hub.downloads)
    done = generate("org/name")
    assert done.returncode == 0
    assert "nothing changed" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert len(hub.downloads) == downloads
    assert generate("org/name", "--check").returncode == 0


def test_a_branch_that_moved_is_drift(hub: HubServer, generate: Generate) -> None:
    old = hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    assert generate("org/name").returncode == 0
    new = hub.add("org/name", {**FILES, "model.safetensors": SAFETENSORS[::-1]}, pipeline_tag="feature-extraction")
    done = generate("org/name", "--check")
    assert done.returncode == 1
    assert "changed: 1/weights/model.safetensors" in done.stdout
    assert (generate.output / "org--name/1/weights/model.safetensors").read_bytes() == SAFETENSORS
    assert generate("org/name", "--revision", old, "--check").returncode == 0
    assert generate("org/name").returncode == 0
    assert new in (generate.output / "org--name" / "config.pbtxt").read_text()
    assert (generate.output / "org--name/1/weights/model.safetensors").read_bytes() == SAFETENSORS[::-1]


def test_weights_left_on_the_hub(hub: HubServer, generate: Generate) -> None:
    hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    assert generate("org/name", "--weights", "hub").returncode == 0
    assert not (generate.output / "org--name" / "1" / "weights").exists()
    assert not any("safetensors" in request.path for request in hub.downloads)


def test_dry_run_downloads_no_weights(hub: HubServer, generate: Generate) -> None:
    hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    done = generate("org/name", "--dry-run")
    assert done.returncode == 0
    assert "would put 4 files" in done.stdout
    assert not generate.output.exists()
    assert not any("safetensors" in request.path for request in hub.downloads)


def test_offline_with_a_full_cache(hub: HubServer, generate: Generate) -> None:
    hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    assert generate("org/name", "--task", "feature-extraction").returncode == 0
    asked = len(hub.requests)
    done = generate("org/name", "--task", "feature-extraction", "--offline", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(hub.requests) == asked


def test_refusals_of_the_hub(hub: HubServer, generate: Generate) -> None:
    hub.add("org/gated", FILES, gated=True)
    hub.add("org/private", FILES, private=True)
    hub.add("org/name", FILES)
    assert "org/gated" in generate.refused(3, "org/gated")
    assert "conditions" in generate.refused(3, "org/gated", "--token-env", "MINE", MINE=hub.stranger)
    assert "private" in generate.refused(3, "org/private")
    assert "does not exist" in generate.refused(3, "org/absent")
    assert "branch" in generate.refused(3, "org/name", "--revision", "nix")
    assert "not in the local cache" in generate.refused(3, "org/name", "--offline")
    assert "no such environment variable" in generate.refused(2, "org/name", "--token-env", "MINE")
    assert "model id" in generate.refused(2, "not/a/model")


def test_a_token_opens_a_gated_model_and_is_written_nowhere(hub: HubServer, generate: Generate) -> None:
    hub.add("org/gated", FILES, gated=True, pipeline_tag="feature-extraction")
    done = generate("org/gated", "--token-env", "MINE", MINE=hub.member)
    assert done.returncode == 0, done.stderr
    assert hub.member not in done.stdout + done.stderr
    for path in generate.output.rglob("*"):
        assert not path.is_file() or hub.member.encode() not in path.read_bytes()


def test_a_model_that_does_not_fit_downloads_nothing(hub: HubServer, generate: Generate) -> None:
    hub.add("org/image", {"config.json": b"{}", "model.safetensors": b""}, pipeline_tag="image-classification")
    hub.add("org/flux", {"model_index.json": b"{}"})
    assert "no tokenizer" in generate.refused(4, "org/image", "--task", "feature-extraction")
    assert "diffusion" in generate.refused(4, "org/flux", "--task", "feature-extraction")
    assert "--task" in generate.refused(4, "org/image")
    assert not any("safetensors" in request.path for request in hub.downloads)


def test_pickled_weights_are_not_even_downloaded(hub: HubServer, generate: Generate) -> None:
    files = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.add("org/old", files, pipeline_tag="feature-extraction")
    assert "--allow-pickle" in generate.refused(4, "org/old")
    assert not any(".bin" in request.path for request in hub.downloads)
    assert "cannot be made safetensors" in generate.refused(4, "org/old", "--allow-pickle")
    assert any(".bin" in request.path for request in hub.downloads)


def test_a_cut_download_leaves_no_repository_and_goes_on(hub: HubServer, generate: Generate) -> None:
    hub.add("org/name", FILES, pipeline_tag="feature-extraction")
    hub.fail("model.safetensors", 404)
    generate.refused(3, "org/name")
    hub.heal()
    assert generate("org/name").returncode == 0
    assert (generate.output / "org--name/1/weights/model.safetensors").read_bytes() == SAFETENSORS


def test_a_published_graph_is_fetched_and_exporters_are_not(hub: HubServer, generate: Generate) -> None:
    files = {**FILES, "onnx/model_fp16.onnx": b"another", "onnx/model.onnx_data": b"weights"}
    hub.add("org/name", files, pipeline_tag="feature-extraction")
    done = generate("org/name", "--onnx", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "onnx/model.onnx of the model" in done.stdout
    # Nothing here is a model, which only the comparison can find out.
    told = generate("org/name", "--onnx", "--exporter", "hub").stderr.splitlines()[-1]
    assert told.startswith("generate-repo: org/name: onnx/model.onnx does not fit: ")
    assert not generate.output.exists()
    fetched = {request.path.rsplit("/", 1)[1] for request in hub.downloads}
    assert {"model.onnx", "model.onnx_data", "model.safetensors"} <= fetched
    assert "model_fp16.onnx" not in fetched
    assert "onnx/model_int8.onnx" in generate.refused(5, "org/name", "--onnx", "--exporter", "hub", "--dtype", "int8")
    assert "choose one of them" in generate.refused(2, "org/name", "--onnx", "--weights", "hub")

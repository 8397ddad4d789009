from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hf_runtime import settings
from hf_runtime.settings import Settings, Tensor


def settings_of(repository: str = "/models/m", kind: str = "CPU", device: str = "0", **config: Any) -> Settings:
    parameters = {name: {"string_value": value} for name, value in config.pop("parameters", {}).items()}
    return Settings.from_args(
        {
            "model_config": json.dumps({"input": [], "output": [], "parameters": parameters, **config}),
            "model_name": "m",
            "model_repository": repository,
            "model_version": "1",
            "model_instance_kind": kind,
            "model_instance_device_id": device,
        }
    )


def test_what_config_pbtxt_says() -> None:
    read = settings_of(
        parameters={
            "task": "fill-mask",
            "model_id": "acme/tiny",
            "revision": "abc",
            "dtype": "bf16",
            "threads": "3",
            "sub_batch_size": "5",
            "max_text_length": "7",
            "trust_remote_code": "true",
        }
    )
    assert (read.name, read.task, read.model_id, read.revision, read.dtype) == (
        "m",
        "fill-mask",
        "acme/tiny",
        "abc",
        "bf16",
    )
    assert (read.threads, read.sub_batch_size, read.max_text_length, read.trust_remote_code) == (3, 5, 7, True)


def test_what_it_leaves_out() -> None:
    read = settings_of()
    assert (read.dtype, read.sub_batch_size, read.max_text_length, read.trust_remote_code) == (
        "auto",
        16,
        1_000_000,
        False,
    )


def test_tensors_are_read_with_their_dims() -> None:
    read = settings_of(
        input=[{"name": "text", "data_type": "TYPE_STRING", "dims": [1]}],
        output=[{"name": "vector", "data_type": "TYPE_FP32", "dims": ["-1", 4]}],  # protobuf writes 64 bits as text
    )
    assert read.inputs == (Tensor("text", "TYPE_STRING", (1,)),)
    assert read.outputs == (Tensor("vector", "TYPE_FP32", (-1, 4)),)


@pytest.mark.parametrize(
    ("wanted", "kind", "device"),
    [
        ("auto", "CPU", "cpu"),
        ("auto", "GPU", "cuda:3"),
        ("cpu", "GPU", "cpu"),
        ("cuda", "GPU", "cuda:3"),
        ("cuda:1", "GPU", "cuda:1"),
    ],
)
def test_the_device_is_this_instances_own(wanted: str, kind: str, device: str) -> None:
    assert settings_of(kind=kind, device="3", parameters={"device": wanted}).device == device


@pytest.mark.parametrize(
    ("groups", "threads"),
    [
        ([], 8),
        ([{"count": 2}], 4),
        ([{"count": 1}, {"count": 3}], 2),
        ([{}], 8),
        ([{"count": 1, "gpus": [0, 1]}], 4),
        ([{"count": 20}], 1),
    ],
)
def test_threads_are_divided_among_all_instances(
    groups: list[dict[str, Any]], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "cores", lambda: 8)
    assert settings_of(instance_group=groups).threads == threads


@pytest.mark.parametrize("name", ["threads", "sub_batch_size", "sub_batch_overhead", "max_text_length"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_a_number_without_meaning_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"parameter {name} in config\.pbtxt must be a whole number .* not '{value}'"):
        settings_of(parameters={name: value})


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 4), ("", 4)],
)
def test_cores_are_cut_by_the_containers_quota(quota: str, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(settings.Path, "read_text", lambda _: quota)
    assert settings.cores() == cores


def test_cores_without_a_quota_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(settings, "Path", lambda _: Path("/no/such/file"))
    assert settings.cores() == 4


def test_weights_beside_the_model_are_taken(tmp_path: Path) -> None:
    (tmp_path / "1/weights").mkdir(parents=True)
    assert settings_of(repository=str(tmp_path)).weights() == str(tmp_path / "1/weights")


def test_weights_that_are_not_there_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(model_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((model_id, revision, allow_patterns))
        return "/cache"

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    (tmp_path / "manifest.json").write_text('{"on_hub": ["config.json"]}')
    for revision in ("abc", ""):
        read = settings_of(repository=str(tmp_path), parameters={"model_id": "acme/tiny", "revision": revision})
        assert read.weights() == "/cache"
    assert asked == [("acme/tiny", "abc", ["config.json"]), ("acme/tiny", None, ["config.json"])]

"""Restarts, counted by why they were needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit import test_serve_limits as grown
from tests.unit import test_serve_model as dead

from hub2triton.serve import limits
from hub2triton.serve.control import LoadError
from hub2triton.serve.limits import Limits
from hub2triton.serve.model import ServedModel
from hub2triton.serve.report import Report
from hub2triton.serve.restarts import Restart, Restarts
from hub2triton.serve.stub import Life, Stub


def counts(file: Path) -> dict[str, float]:
    """How often the model was loaded again, by the reason; none that are 0."""
    families = {family.name: family for family in text_string_to_metric_families(file.read_text())}
    samples = families["hub2triton_model_restarts"].samples
    assert {sample.labels["model"] for sample in samples} == {"m"}
    assert {sample.labels["reason"] for sample in samples} == {reason.value for reason in Restart}
    return {sample.labels["reason"]: sample.value for sample in samples if sample.value}


def counted(model: ServedModel, tmp_path: Path) -> Path:
    """The file in which a model's restarts are counted from now on."""
    file = tmp_path / "restarts.prom"
    model._report.restarts = Restarts(["m"], file)
    return file


async def test_a_death_is_counted_once_however_often_its_load_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead.backoff, "_FIRST", 0.01)
    model, stubs, _ = await dead.ready(dead.FakeControl(failures=2), Life.ALIVE, Life.ZOMBIE)
    file = counted(model, tmp_path)
    assert counts(file) == {}
    await model.repair(cast("Stub", stubs[1]), dead.nothing)
    assert counts(file) == {"died": 1}


async def test_one_that_hung_is_not_counted_as_a_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = grown.served(grown.FakeControl(), Limits(execution=1e-9))
    monkeypatch.setattr(model._control, "unload", model._control.load, raising=False)
    first, second = grown.FakeStub(1), grown.FakeStub(2)
    await model.load(lambda: model.add(*grown.stubs_of(first)))
    file = counted(model, tmp_path)
    first.waiting = False
    await model.kill_hung()
    await model.kill_hung()
    await model.repair(cast("Stub", first), lambda: model.add(*grown.stubs_of(second)))
    assert counts(file) == {"hung": 1}
    await model.repair(cast("Stub", second), dead.nothing)
    assert counts(file) == {"hung": 1, "died": 1}


async def test_a_replacement_counts_once_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_PAUSE", 0.0)
    control = grown.FakeControl()
    model, _ = grown.served(control, Limits(memory=100))
    stub = grown.FakeStub(1, 50)
    await model.load(lambda: model.add(*grown.stubs_of(stub)))
    file = counted(model, tmp_path)
    control.failure = LoadError("no")
    await model.replace(*grown.stubs_of(stub), dead.nothing)
    assert counts(file) == {}
    control.failure = None
    await model.replace(*grown.stubs_of(stub), dead.nothing)
    assert counts(file) == {"grown": 1}


def test_servers_are_counted(tmp_path: Path) -> None:
    report = Report(io.StringIO(), verbose=False)
    report.server_restarted("shim")  # nobody counts yet
    file = tmp_path / "restarts.prom"
    report.restarts = Restarts(["m"], file)
    report.server_restarted("shim")
    report.restarted("m", Restart.SERVER)
    assert 'hub2triton_server_restarts_total{server="shim"} 1.0\n' in file.read_text()
    assert 'hub2triton_server_restarts_total{server="tritonserver"} 0.0\n' in file.read_text()
    assert counts(file) == {"server": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["restarts.prom"]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    Restarts(["m"], tmp_path / "absent" / "restarts.prom").model("m", Restart.DIED)

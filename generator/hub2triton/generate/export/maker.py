"""The graph of a model: made once, and taken from the model's folder again as long as it would be the same."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub2triton.error import ExportError
from hub2triton.generate import manifest, repository
from hub2triton.generate.export import optimum, process
from hub2triton.generate.export.request import GRAPH, TOKENIZER, Report, Request
from hub2triton.generate.options import Device, DType, Exporter
from hub2triton.generate.render import VERSION, WEIGHTS, render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hub2triton.generate.export.graph_plan import GraphPlan
    from hub2triton.generate.manifest import Manifest
    from hub2triton.generate.plan import Plan

PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
"""What the export depends on; another version of one makes another graph."""


@dataclass(frozen=True)
class MadeGraph:
    """A graph that was found to fit.

    Attributes:
        files: Where each of its files is now, by its path in the model's folder.
        record: What manifest.json says of it.
    """

    files: Mapping[str, Path]
    record: Mapping[str, Any]


def origin(plan: Plan, graph: GraphPlan, model_files: Mapping[str, str]) -> str:
    """A digest of all that the graph depends on: equal ones need no second export.

    Args:
        plan: The model's.
        graph: Its graph's.
        model_files: Digests of the model's own files, for a model without a revision.
    """
    parts = {
        "source": [plan.source.model_id, plan.source.revision, *sorted(model_files.items())],
        "task": [plan.spec.name, plan.library.value],
        "graph": [
            graph.precision.value,
            graph.exporter.value,
            [file.path for file in graph.published],
            graph.packs(plan.options.device),
        ],
        "code": [manifest.digest(content) for path, content in sorted(render(plan).items()) if path.endswith(".py")],
        "versions": _versions(graph),
    }
    return manifest.digest(json.dumps(parts, sort_keys=True).encode())


def find(folder: Path, last: Manifest | None, made_from: str, *, unedited: bool) -> MadeGraph | None:
    """The graph that is in a model's folder; None where it is another, or not whole.

    Args:
        folder: The model's.
        last: The record of what was written there.
        made_from: What `origin` gives for the graph that is wanted.
        unedited: Whether files that were changed by hand do not count.
    """
    if last is None or not last.onnx or last.onnx.get("made_from") != made_from:
        return None
    files = {path: folder / path for path in last.onnx["files"]}
    if not all(path.is_file() for path in files.values()):
        return None
    if unedited and any(manifest.file_digest(place) != last.files.get(path) for path, place in files.items()):
        return None
    return MadeGraph(files, last.onnx)


def make(
    plan: Plan, graph: GraphPlan, fetch: Callable[[Sequence[str]], Mapping[str, Path]], scratch: Path, made_from: str
) -> MadeGraph:
    """Makes the graph, or takes the published one, and compares it with torch.

    Args:
        plan: The model's.
        graph: Its graph's.
        fetch: Brings files of the model here, by path; it may give them other names, as pickled weights get.
        scratch: A folder on the file system of the model repository, for large files.
        made_from: What `origin` gave.

    Raises:
        ExportError: There is no graph that gives torch's numbers, or a package is missing.
    """
    _check_packages(graph)
    try:
        return _Making(plan, graph, fetch, scratch, made_from).made()
    except ExportError as error:
        if not graph.published or graph.insists:
            raise
        process.say(f"{graph.published[0].path} does not fit, so the model is exported ({error})")
    instead = replace(graph, exporter=Exporter.TRANSFORMERS, published=())
    _check_packages(instead)
    return _Making(plan, instead, fetch, scratch / "exported", made_from).made()


class _Making:
    """One attempt at a graph."""

    def __init__(
        self,
        plan: Plan,
        graph: GraphPlan,
        fetch: Callable[[Sequence[str]], Mapping[str, Path]],
        scratch: Path,
        made_from: str,
    ) -> None:
        self._plan, self._plan_of_graph, self._fetch, self._made_from = plan, graph, fetch, made_from
        self._scratch = scratch
        self._model, self._graph = scratch / plan.name, scratch / "graph"
        self._deadline = time.monotonic() + plan.options.onnx_timeout_s

    def made(self) -> MadeGraph:
        """Does it."""
        self._graph.mkdir(parents=True)
        self._stage_model()
        exporter = self._plan_of_graph.exporter
        if exporter is Exporter.HUB:
            self._take_published()
        if exporter is Exporter.OPTIMUM:
            self._export_by_optimum()
        report = self._compared()
        files = {
            f"{WEIGHTS if path.name == TOKENIZER else VERSION}/{path.name}": path
            for path in sorted(self._graph.iterdir())
        }
        return MadeGraph(files, self._record(report, sorted(files)))

    def _stage_model(self) -> None:
        """The model's folder as it is for torch: where there are weights, with them."""
        files = self._plan_of_graph.model or self._plan.files
        places = self._fetch([file.path for file in files])
        # On the CPU, where both are compared; and in FP32, since that is what the graph is held against.
        options = replace(self._plan.options, dtype=DType.FP32, device=Device.CPU)
        contents: dict[str, bytes | Path] = dict(render(replace(self._plan, options=options, graph=None)))
        contents |= {f"{WEIGHTS}/{path}": place for path, place in places.items()}
        for path, content in contents.items():
            repository.put(self._model / path, content, link=True)

    def _take_published(self) -> None:
        paths = [file.path for file in self._plan_of_graph.published]
        places = self._fetch(paths)
        for index, path in enumerate(paths):  # the weights keep their names, by which the graph finds them
            name = GRAPH if index == 0 else Path(path).name
            repository.put(self._graph / name, places[path], link=True)

    def _export_by_optimum(self) -> None:
        assert self._plan.spec.onnx is not None  # noqa: S101 (there is a plan for its graph)
        given = self._plan.options.optimum_python
        interpreter = optimum.python(given, self._scratch, self._left())
        task = self._plan.spec.onnx.optimum
        optimum.export(interpreter, self._model / WEIGHTS, task, self._graph, self._scratch, self._left())

    def _compared(self) -> Report:
        request_path, report_path = self._scratch / "request.json", self._scratch / "report.json"
        Request(
            model=str(self._model),
            graph=str(self._graph),
            exporter="transformers" if self._plan_of_graph.exporter is Exporter.TRANSFORMERS else None,
            task=self._plan.spec.name,
            precision=self._plan_of_graph.precision.value,
            has_weights=bool(self._plan_of_graph.model),
            packs=self._plan_of_graph.packs(self._plan.options.device),
        ).write(request_path)
        package = Path(__file__).parents[3]
        ended = process.run(
            [sys.executable, "-m", "hub2triton.generate.export.worker", request_path, report_path],
            self._scratch / "worker.log",
            limit_s=self._left(),
            on_line=process.say,
            environment={
                "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")])),
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",  # all that is needed was fetched
                "CUDA_VISIBLE_DEVICES": "",
            },
        )
        report = Report.read(report_path)
        if report is None or report.error is not None:
            raise ExportError(f"{self._plan.source.model_id}: {self._cause(ended, report)}. {self._way_out()}")
        if report.largest_difference is None:
            process.say("not compared: the model has no weights for torch")
        else:
            process.say(f"largest difference from torch: {report.largest_difference:.2g}")
        return report

    def _cause(self, ended: process.Ended, report: Report | None) -> str:
        published = self._plan_of_graph.published
        what = f"{published[0].path} does not fit" if published else "the export to ONNX failed"
        if report is not None:
            return f"{what}: {str(report.error).rstrip('.')}"
        if ended.code is None:
            return f"{what}: it took longer than {self._plan.options.onnx_timeout_s} s (--onnx-timeout)"
        if ended.code < 0:
            return f"{what}: its process was killed by signal {-ended.code}; there may be too little memory"
        return f"{what}: {ended.last_words.rstrip('.')}"

    def _way_out(self) -> str:
        precision = self._plan_of_graph.precision.value
        other = {
            "bf16": "--dtype bf16 without --onnx runs on torch",
            "fp16": "--dtype fp16 without --onnx runs on torch",
        }
        return other.get(precision, "Leave out --onnx, and torch computes the model")

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())

    def _record(self, report: Report, files: list[str]) -> dict[str, Any]:
        graph = self._plan_of_graph
        return {
            "source": graph.published[0].path if graph.published else f"exported by {graph.exporter.value}",
            "versions": _versions(graph),
            "precision": graph.precision.value,
            "packed": report.packed,
            "largest_difference": report.largest_difference,
            "error": {"measure": report.measure, **report.outputs} if report.measure else "not compared",
            "compared": report.compared,
            "files": files,
            "made_from": self._made_from,
        }


def _check_packages(graph: GraphPlan) -> None:
    needed = PACKAGES if graph.exporter is Exporter.TRANSFORMERS else ("torch", "transformers", "onnxruntime")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"--onnx needs {' and '.join(missing)}, not installed here; run pip install 'hub2triton[cpu,export]', or "
            "leave out --onnx"
        )


def _versions(graph: GraphPlan) -> dict[str, str]:
    found = {name: _version(name) for name in PACKAGES}
    return found | ({"optimum-onnx": optimum.VERSION} if graph.exporter is Exporter.OPTIMUM else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # such as onnxruntime where onnxruntime-gpu is there
        return ""

"""Makes a model's graph and compares it with torch, in a process of its own: `python -m … REQUEST REPORT`.

Exporters take gigabytes, patch torch, and may hang or crash: none of that must reach generate-repo. Lines of progress
go to standard output; whatever libraries print goes to standard error. The process ends when its standard input does,
so that it does not outlive generate-repo.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hub2triton import tasks
from hub2triton.generate.export import description, packing, parity
from hub2triton.generate.export.request import DESCRIPTION, TOKENIZER, Report, Request
from hub2triton.generate.export.staged_model import StagedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub2triton.generate.export.parity import Arrays, Comparison
    from hub2triton.tasks.spec import TaskSpec

    Batches = Sequence[tuple[Arrays, Arrays]]
    """Inputs, and what torch makes of them."""

FILLED = frozenset({"token_type_ids"})
"""Inputs of graphs that the runtime fills with zeros where the tokenizer does not give them."""


def main(request_path: str, report_path: str) -> None:
    """Does what a request asks; the report tells what came of it, an error included."""
    progress = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        report = Work(Request.read(Path(request_path)), progress).report()
    except Exception as error:
        import traceback

        traceback.print_exc()
        report = Report(error=_first_line(error))
    report.write(Path(report_path))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


class Work:
    """One request, step by step."""

    def __init__(self, request: Request, progress: TextIO) -> None:
        self._request = request
        self._progress = progress
        self._model, self._graph = Path(request.model), Path(request.graph)

    def report(self) -> Report:
        """Makes the graph where it is not there, describes it, compares it, and asks the whole model with it.

        Raises:
            Exception: There is no graph, or none that fits; the text says why.
        """
        spec = tasks.find(self._request.task)
        assert spec is not None  # noqa: S101 (a name of the registry)
        self._say("loading the model")
        source = StagedModel(self._model, "hub2triton_source")
        source.load(None if self._request.has_weights else self._without_weights(source))
        if self._request.has_weights:
            if source.engine is None:
                raise ValueError("it is not loaded in one piece, such as a model that writes a text")
            self._describe(source.engine.config, source.engine.positions, source.tokenizer)
        source.ask_example(spec)
        if not source.inputs:
            raise ValueError("it is not computed in forward passes of one batch, such as a model that writes a text")
        if not self._request.has_weights:
            report = Report()
        else:
            report = _Torch(source, self._request, self._say).report(self._graph)
        self._ask_with_graph(spec)
        return report

    def _say(self, what: str) -> None:
        print(what, file=self._progress)

    def _without_weights(self, source: StagedModel) -> Callable[[Any, str, bool], Any]:
        """The way to the engine of a published graph whose repository has no weights for torch."""

        def make(settings: Any, auto_class: str, headless: bool) -> Any:  # noqa: ARG001 (the runtime's call)
            import torch
            import transformers

            weights, own_code = settings.weights(), settings.trust_remote_code
            config = transformers.AutoConfig.from_pretrained(weights, trust_remote_code=own_code)
            with torch.device("meta"):  # to count its positions: without numbers, and so without memory
                empty = getattr(transformers, auto_class).from_config(config, trust_remote_code=own_code)
            places = source.runtime("torch_text").positions(empty)
            self._describe(config, places, source.load_tokenizer(settings))
            return source.runtime("onnx_engine").OnnxEngine(replace(settings, version_dir=self._graph))

        return make

    def _describe(self, config: Any, positions: int, tokenizer: Any) -> None:
        """Writes what the graph's process knows of the model, and its tokenizer as transformers has set it up."""
        content = description.of_model(config, positions, tokenizer)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (self._graph / DESCRIPTION).write_text(text, encoding="utf-8")
        if tokenizer is None:
            return
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError("its tokenizer runs in Python only, and has no form that works without transformers")
        backend.save(str(self._graph / TOKENIZER))

    def _ask_with_graph(self, spec: TaskSpec) -> None:
        """The example once more, by the model as it will be served: a graph may lack what its task reads."""
        self._say("asking the model with its graph")
        for path in self._graph.iterdir():
            place = self._model / "1" / ("weights" if path.name == TOKENIZER else "") / path.name
            place.unlink(missing_ok=True)
            _link(path, place)
        served = StagedModel(self._model, "hub2triton_served")
        served.load()
        try:
            served.ask_example(spec)
        except KeyError as error:
            raise ValueError(f"it has no output {error}, which {spec.name} needs") from error


class _Torch:
    """The model on torch: exported from, and compared with."""

    def __init__(self, source: StagedModel, request: Request, say: Callable[[str], None]) -> None:
        self._source, self._request, self._say = source, request, say
        self._engine = source.engine
        self._names = frozenset(source.read)  # before all are looked at, to compare them
        self._sample = parity.doubled(max(source.inputs, key=len), self._works)

    def report(self, graph: Path) -> Report:
        """Makes the graph in a folder where it is not there yet, and compares it."""
        batches = [
            (inputs, dict(self._engine.run(inputs))) for inputs in parity.batches(self._sample, self._works)
        ]  # before the export, which may change the model's precision
        if self._request.exporter is None:
            return self._compared(graph, batches, packed=False)
        if self._request.packs and packing.layers(self._engine.model) is not None:
            try:
                return self._exported(graph, batches, packed=True)
            except Exception as error:  # of whatever kind: what was tried here does not have to succeed
                self._say(f"not without padding: {_first_line(error)}")
        return self._exported(graph, batches, packed=False)

    def _exported(self, graph: Path, batches: Batches, *, packed: bool) -> Report:
        from hub2triton.generate.export import transformers_exporter

        how = ", without padding" if packed else ""
        self._say(f"exporting {type(self._engine.model).__name__}{how}")
        transformers_exporter.export(self._engine, self._sample, self._request.precision, graph, packed=packed)
        return self._compared(graph, batches, packed=packed)

    def _compared(self, graph: Path, batches: Batches, *, packed: bool) -> Report:
        self._say(f"comparing with torch at {len(batches)} shapes")
        settings = replace(self._source.settings, version_dir=graph)
        ours = self._source.runtime("onnx_engine").OnnxEngine(settings)
        unknown = ours.inputs - self._sample.keys() - FILLED
        if unknown:
            raise ValueError(f"it takes {', '.join(sorted(unknown))}, which the model is not given")
        limit = parity.LIMITS[self._request.precision]
        comparison = parity.Comparison(0.0, {}, [])
        for inputs, wanted in batches:
            outputs: list[Arrays] = [ours.run(inputs), wanted]
            if packed:  # what stands in the place of padding is nothing that the model has computed
                outputs = [parity.of_tokens(inputs, given) for given in outputs]
            self._compare(comparison, limit, inputs, *outputs)
        return Report(
            largest_difference=comparison.largest,
            measure=limit.measure,
            outputs=comparison.outputs,
            compared=comparison.shapes,
            packed=packed,
        )

    def _compare(
        self, comparison: Comparison, limit: parity.Limit, inputs: Arrays, found: Arrays, wanted: Arrays
    ) -> None:
        names = sorted(found.keys() & wanted.keys() & self._names)
        if not names:
            raise ValueError(f"it has none of the outputs that are needed: {', '.join(sorted(self._names))}")
        comparison.add(limit, inputs, found, wanted, names)

    def _works(self, inputs: Arrays) -> bool:
        try:
            self._engine.run(inputs)
        except (ValueError, RuntimeError, IndexError, TypeError, AssertionError):  # models say it in many ways
            return False
        return True


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _link(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)


if __name__ == "__main__":
    main(*sys.argv[1:])

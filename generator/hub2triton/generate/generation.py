"""From options to a model's folder: the steps of generate-repo, each usable by itself."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub2triton.error import UsageError
from hub2triton.generate import conversion, difference, facts, hub, local, manifest, repository
from hub2triton.generate import plan as planning
from hub2triton.generate.export import maker
from hub2triton.generate.export.request import GRAPH
from hub2triton.generate.options import Weights
from hub2triton.generate.render import VERSION, WEIGHTS, render
from hub2triton.generate.source import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hub2triton.generate.difference import Difference
    from hub2triton.generate.export.graph_plan import GraphPlan
    from hub2triton.generate.export.maker import MadeGraph
    from hub2triton.generate.options import Options
    from hub2triton.generate.plan import Plan
    from hub2triton.generate.source import Source

MEGABYTE = 1e6

UNKNOWN = ""
"""The digest of a file that would have to be made to be known; it equals none."""


@dataclass(frozen=True)
class Contents:
    """What a model's folder is to hold besides manifest.json.

    Attributes:
        files: By path: the bytes to write, or the file to take.
        digests: The SHA-256 of each, by path.
        onnx: What manifest.json says of the graph; None without one.
    """

    files: Mapping[str, bytes | Path]
    digests: Mapping[str, str]
    onnx: Mapping[str, Any] | None = None


def plan(options: Options) -> Plan:
    """Finds the model and decides everything; downloads only the small files that the decisions need."""
    source = _resolve(options)
    small = sorted(source.paths & set(facts.FILES))
    return planning.make(options, source, facts.read(_fetch(options, source, small)))


def would_write(plan: Plan) -> list[str]:
    """What `write` would write, for people."""
    target = _target(plan)
    size = sum(file.size or 0 for file in plan.files) / MEGABYTE
    lines = [f"would write {target}/{path}" for path in (*render(plan), manifest.FILE)]
    if plan.graph is not None:
        lines.append(_would_export(plan, plan.graph))
    if plan.options.weights is Weights.HUB:
        return [*lines, f"would leave {len(plan.files)} files ({size:.1f} MB) on the Hub until the model is loaded"]
    return [*lines, f"would put {len(plan.files)} files ({size:.1f} MB) into {target}/{WEIGHTS}/"]


def compare(plan: Plan) -> Difference:
    """How the model's folder differs from the plan. A graph that would have to be made anew counts as changed."""
    target = _target(plan)
    with ExitStack() as stack:
        contents = _contents(plan, stack)
    if plan.graph is None:
        return difference.compare(target, contents.digests)
    made_from = _made_from(plan, plan.graph)
    last = manifest.load(target)
    made = maker.find(target, last, made_from, unedited=False)
    if made is None:
        return difference.compare(target, _with_unknown_graph(contents, last))
    return difference.compare(target, _with_graph(contents, made, last).digests)


def write(plan: Plan, *, force: bool) -> list[str]:
    """Writes the model's folder, unless it is there already; returns what to tell the user.

    Raises:
        UsageError: It would overwrite or remove something of the user's, and `force` is not set.
        HubError: A file cannot be downloaded.
        ExportError: There is no graph that gives the model's own numbers.
    """
    target = _target(plan)
    with ExitStack() as stack:
        contents = _contents(plan, stack)
        if plan.graph is not None:
            contents = _graph(plan, plan.graph, contents, stack, force=force)
        found = difference.compare(target, contents.digests)
        _guard(target, found, force=force)
        edited = f" (kept as you edited them: {', '.join(found.edited)})" if found.edited and not force else ""
        if found.none and manifest.load(target) and not (force and (found.edited or found.foreign)):
            return [f"nothing changed: {target} is up to date{edited}", *_next_steps(plan)]
        record = manifest.Manifest.of(plan, contents.digests, contents.onnx).to_json().encode()
        keep = () if force else (*found.foreign, *found.edited)
        link = plan.options.weights is Weights.LINK and plan.source.origin is Origin.HUB
        repository.write(target, {**contents.files, manifest.FILE: record}, keep, link=link)
    size = sum((target / path).stat().st_size for path in contents.files) / MEGABYTE
    return [f"wrote {target}: {len(contents.files) + 1} files, {size:.1f} MB{edited}", *_next_steps(plan)]


def _graph(plan: Plan, graph: GraphPlan, contents: Contents, stack: ExitStack, *, force: bool) -> Contents:
    """The contents with the graph: the one that is there, or one made in a folder that lasts as long as `stack`."""
    target = _target(plan)
    made_from = _made_from(plan, graph)
    last = manifest.load(target)
    made = maker.find(target, last, made_from, unedited=force)
    if made is not None:
        return _with_graph(contents, made, last)
    # Told now, not after minutes of work.
    _guard(target, difference.compare(target, _with_unknown_graph(contents, last)), force=force)
    scratch = stack.enter_context(repository.staging(plan.options.output))
    made = maker.make(plan, graph, lambda paths: _model_files(plan, paths, stack), scratch, made_from)
    return _with_graph(contents, made, None)


def _with_graph(contents: Contents, made: MadeGraph, last: manifest.Manifest | None) -> Contents:
    """Adds a graph; one that is there already has the digests it was written with, so that edits are seen as such."""
    digests = {path: last.files[path] for path in made.files} if last else _digests(dict(made.files))
    return Contents({**contents.files, **made.files}, {**contents.digests, **digests}, made.record)


def _with_unknown_graph(contents: Contents, last: manifest.Manifest | None) -> dict[str, str]:
    """The digests with those of a graph that is not made yet, by the names of the last one's files."""
    paths = last.onnx["files"] if last and last.onnx else [f"{VERSION}/{GRAPH}"]
    return {**contents.digests, **dict.fromkeys(paths, UNKNOWN)}


def _made_from(plan: Plan, graph: GraphPlan) -> str:
    """What the graph depends on; the files of a model without a commit are looked into."""
    paths = [file.path for file in (*graph.model, *graph.published)] if plan.source.revision is None else []
    folder = plan.source.root
    return maker.origin(plan, graph, _digests({path: folder / path for path in paths}) if folder is not None else {})


def _would_export(plan: Plan, graph: GraphPlan) -> str:
    target = _target(plan)
    if maker.find(target, manifest.load(target), _made_from(plan, graph), unedited=False) is not None:
        return f"would keep the graph in {target}/{VERSION}/{GRAPH}, which was made from the same"
    size = sum(file.size or 0 for file in (*graph.published, *graph.model)) / MEGABYTE
    return f"would make {target}/{VERSION}/{GRAPH} ({graph.title}) of {size:.1f} MB, and compare it with torch"


def _resolve(options: Options) -> Source:
    path = Path(options.model)
    if path.is_dir():
        if options.revision is not None:
            raise UsageError(f"--revision is for models on the Hub, and {options.model} is a local directory")
        return local.resolve(path)
    if path.exists() or options.model.startswith((".", "/", "~")):
        raise UsageError(f"{options.model} is no directory; name a directory with a model in it, or a Hub id")
    return hub.resolve(options.model, revision=options.revision, token=options.token, offline=options.offline)


def _fetch(options: Options, source: Source, paths: Sequence[str]) -> Path:
    if source.root is not None:
        return source.root
    return hub.download(source, paths, token=options.token, offline=options.offline)


def _model_files(plan: Plan, paths: Sequence[str], stack: ExitStack) -> dict[str, Path]:
    """Files of the model by their paths, with safetensors for pickled weights in a folder that lasts as `stack`."""
    folder = _fetch(plan.options, plan.source, paths)
    places = {path: folder / path for path in paths}
    if not any(path in places for path in plan.pickled):
        return places
    return conversion.converted(places, stack.enter_context(repository.staging(plan.options.output)))


def _contents(plan: Plan, stack: ExitStack) -> Contents:
    """All but the graph; what is made for it lasts as long as `stack`."""
    contents: dict[str, bytes | Path] = dict(render(plan))
    if plan.options.weights is not Weights.HUB:
        files = _model_files(plan, [file.path for file in plan.files], stack)
        contents |= {f"{WEIGHTS}/{path}": place for path, place in files.items()}
    return Contents(contents, _digests(contents))


def _digests(contents: Mapping[str, bytes | Path]) -> dict[str, str]:
    return {
        path: manifest.digest(content) if isinstance(content, bytes) else manifest.file_digest(content)
        for path, content in contents.items()
    }


def _guard(target: Path, found: Difference, *, force: bool) -> None:
    if force:
        return
    if target.exists() and manifest.load(target) is None and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target} exists and was not written by generate-repo; choose another --name or --output, "
            "or let --force replace it"
        )
    if found.conflicts:
        raise UsageError(
            f"these files of {target} were edited or added by hand and would be overwritten or removed: "
            f"{', '.join(found.conflicts)}. Keep a copy of your changes and use --force, or choose another --name"
        )


def _target(plan: Plan) -> Path:
    return plan.options.output / plan.name


def _next_steps(plan: Plan) -> list[str]:
    # Never run from here: it is for the user to say what is installed where.
    install = [f"  pip install -r {shlex.quote(str(_target(plan) / 'requirements.txt'))}"] if plan.requirements else []
    return [
        "next:",
        *install,
        f"  serve-repo {shlex.quote(str(plan.options.output))}",
        f"  curl localhost:8080/models/{plan.name} {plan.spec.example_options()}",
    ]

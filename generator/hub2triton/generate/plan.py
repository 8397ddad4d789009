"""The plan of a model's folder: every value decided, with the reason; nothing touched yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hub2triton import tasks
from hub2triton.error import TaskMismatchError, UsageError
from hub2triton.generate import facts as model_facts
from hub2triton.generate import head, tuning
from hub2triton.generate.export import graph_plan
from hub2triton.generate.options import Weights
from hub2triton.generate.source import Origin
from hub2triton.generate.weights import beside_graph, is_pickled, select
from hub2triton.tasks.spec import Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.generate.export.graph_plan import GraphPlan
    from hub2triton.generate.facts import Facts
    from hub2triton.generate.options import Options
    from hub2triton.generate.source import Source, SourceFile
    from hub2triton.tasks.spec import TaskSpec, Variant

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Decision:
    """A value and where it comes from, for people to check."""

    label: str
    value: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What will be written.

    Attributes:
        task: The task's name, or the one that says more, such as translation_en_to_fr.
        name: The folder in the model repository, and the model's name in Triton.
        files: The model's files that are needed, whether they are put into the repository or not.
        decisions: The values that the user may want to look at.
        requirements: Lines for a requirements file, of what this model needs and others of its task do not.
        instances: Processes on each device.
        graph: Where the graph of --onnx comes from; None where torch computes the model.
        pickled: Paths of pickled weights, which are converted to safetensors before anything loads them.
    """

    options: Options
    source: Source
    spec: TaskSpec
    library: Library
    variant: Variant
    task: str
    name: str
    max_batch_size: int
    files: tuple[SourceFile, ...]
    decisions: tuple[Decision, ...]
    requirements: tuple[str, ...] = ()
    instances: int = 1
    graph: GraphPlan | None = None
    pickled: tuple[str, ...] = ()


def make(options: Options, source: Source, facts: Facts) -> Plan:
    """Decides everything.

    Raises:
        UsageError: An option that cannot be.
        TaskMismatchError: No task can be told, or the model does not fit it, or its weights are pickled and that is not
            allowed.
    """
    graph_plan.check_options(options)
    if options.weights is Weights.HUB and source.origin is Origin.LOCAL:
        raise UsageError(
            "--weights hub needs a model on the Hub, but this is a local directory; use --weights copy or link"
        )
    spec, task_reason = _task(options, source, facts)
    given = options.task or source.pipeline_tag or ""
    task = given if spec.pattern is not None and re.fullmatch(spec.pattern, given) else spec.name
    library, library_reason = _library(spec, facts)
    _check_paths(source)
    files = select(source.files, library, facts.components)
    graph = graph_plan.decide(options, source, spec, facts, files)
    _check_fit(spec, source, facts, (*files, *(graph.published if graph else ())))
    pickled = _pickled(options, source, library, graph.model if graph else files)
    name, name_reason = _name(options, source)
    if source.origin is Origin.LOCAL:  # a directory may be called anything, and this text goes into source files
        source = replace(source, model_id=name)
    batch = options.max_batch_size or spec.max_batch_size
    instances, instances_reason = tuning.instances(options)
    decisions = (
        Decision("model", source.model_id, "a local directory" if source.origin is Origin.LOCAL else "the Hub"),
        Decision("revision", source.revision or "none", _revision_reason(options, source)),
        Decision("task", task, task_reason),
        Decision("library", library.value, library_reason),
        Decision("name", name, name_reason),
        Decision("device", options.device.value, _given(options.device.value != "auto", "--device")),
        Decision("dtype", options.dtype.value, _given(options.dtype.value != "auto", "--dtype")),
        Decision("batch", f"{batch} rows", _given(options.max_batch_size is not None, "--max-batch-size")),
        Decision("instances", str(instances), instances_reason),
        Decision("weights", options.weights.value, _given(options.weights is not Weights.LINK, "--weights")),
        *((Decision("onnx", graph.title, "--onnx"),) if graph else ()),
        *((Decision("pickles", f"{len(pickled)} made safetensors", "--allow-pickle"),) if pickled else ()),
        *_own_code(library),
    )
    return Plan(
        options=options,
        source=source,
        spec=spec,
        library=library,
        variant=spec.variants[library],
        task=task,
        name=name,
        max_batch_size=batch,
        files=beside_graph(files, facts.modules) if graph else files,
        decisions=decisions,
        requirements=facts.requirements if library is Library.CUSTOM else () if graph else facts.packages,
        instances=instances,
        graph=graph,
        pickled=pickled,
    )


def _task(options: Options, source: Source, facts: Facts) -> tuple[TaskSpec, str]:
    if options.task is not None:
        spec = tasks.find(options.task)
        if spec is None:
            raise UsageError(f"unknown task {options.task!r}; the tasks are: {', '.join(tasks.names())}")
        return spec, "--task"
    spec = tasks.find(source.pipeline_tag) if source.pipeline_tag is not None else None
    # What runs the model's own code is for the user to ask for, whatever the model says of itself.
    if spec is not None and spec.library is not Library.CUSTOM:
        return spec, "the Hub's metadata" if source.origin is Origin.HUB else "the model card"
    for candidate in tasks.SPECS:
        if facts.kind is not None and facts.kind in candidate.kinds:
            return candidate, f"modules.json: {facts.kind}"
    for candidate in tasks.SPECS:
        if model_facts.matches(candidate.architectures, facts.architectures):
            file = Library.DIFFUSERS.file if facts.library is Library.DIFFUSERS else "config.json"
            return candidate, f"{file}: {facts.architectures[0]}"
    told = f"its metadata says {source.pipeline_tag!r}, which is no task here" if source.pipeline_tag else "no metadata"
    made = f", and its class is {facts.architectures[0]}" if facts.architectures else ""
    raise TaskMismatchError(
        f"the task of {source.model_id} cannot be told: {told}{made}. Name it with --task, one of: "
        f"{', '.join(tasks.names())}"
    )


def _check_fit(spec: TaskSpec, source: Source, facts: Facts, files: Sequence[SourceFile]) -> None:
    if not any(library.loads(facts.library) for library in spec.variants):
        what = "no transformers model (no config.json)"
        if facts.library is Library.DIFFUSERS:
            what = "a diffusion pipeline (model_index.json)"
        elif spec.library is Library.DIFFUSERS:
            what = "no diffusion pipeline (no model_index.json)"
        raise TaskMismatchError(f"{source.model_id} does not fit {spec.name}: it is {what}. Choose another model")
    served = [file.path for file in files]  # an OpenVINO *.bin is no PyTorch weights
    for need in spec.needs:
        if not model_facts.matches(need.any_of, served):
            made = f" (its class is {facts.architectures[0]})" if facts.architectures else ""
            raise TaskMismatchError(
                f"{source.model_id} does not fit {spec.name}: {need.reason}{made}. "
                "Choose another --task, or another model or --revision"
            )
    head.check(spec, facts, source.model_id)


def _check_paths(source: Source) -> None:
    """Refuses names of files that would be written beside the model's folder; no Hub that is one gives such."""
    for path in source.paths:
        if path.startswith("/") or ".." in path.split("/") or not path.isprintable():
            raise TaskMismatchError(
                f"{source.model_id} has a file named {path!r}, which leads out of its folder; choose another model"
            )


def _library(spec: TaskSpec, facts: Facts) -> tuple[Library, str]:
    if facts.library is not None and facts.library in spec.variants:
        return facts.library, facts.library.file
    return spec.library, f"what {spec.name} is served with"


def _pickled(options: Options, source: Source, library: Library, files: Sequence[SourceFile]) -> tuple[str, ...]:
    """The pickled weights among the files. Code of a model's own opens what it wants, and how is not for us to say."""
    found = tuple(file.path for file in files if is_pickled(file.path)) if library is not Library.CUSTOM else ()
    if found and not options.allow_pickle:
        raise TaskMismatchError(
            f"{source.model_id} has no safetensors of {', '.join(found[:3])}, and a pickle can hold code; choose a "
            "--revision with *.safetensors, or let it be converted with --allow-pickle"
        )
    if found and options.weights is Weights.HUB:
        raise UsageError(
            "--weights hub leaves the model's files as they are, and this one's weights are pickled; leave that option "
            "out, and they are converted"
        )
    return found


def _own_code(library: Library) -> tuple[Decision, ...]:
    if library is not Library.CUSTOM:
        return ()
    return (Decision("code", "the model's own handler.py will run", "--task"),)


def _name(options: Options, source: Source) -> tuple[str, str]:
    if options.name is not None:
        if not NAME.fullmatch(options.name):
            raise UsageError(
                f"--name {options.name!r} cannot be a model's name: use letters, digits, '.', '_' and '-', "
                "and begin with a letter or digit"
            )
        return options.name, "--name"
    return re.sub(r"[^A-Za-z0-9._-]", "-", source.model_id.replace("/", "--")).lstrip(
        "._-"
    ) or "model", "the model's id"


def _revision_reason(options: Options, source: Source) -> str:
    if source.origin is Origin.LOCAL:
        return "a local directory has none"
    return f"--revision {options.revision}" if options.revision else "the Hub's main"


def _given(given: bool, flag: str) -> str:
    return flag if given else "default"

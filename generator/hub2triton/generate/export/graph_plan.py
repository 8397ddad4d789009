"""What is decided about a model's graph before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub2triton import tasks
from hub2triton.error import ExportError, TaskMismatchError, UsageError
from hub2triton.generate import facts as model_facts
from hub2triton.generate import weights
from hub2triton.generate.export import published
from hub2triton.generate.options import Device, DType, Exporter, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.generate.facts import Facts
    from hub2triton.generate.options import Options
    from hub2triton.generate.source import Source, SourceFile
    from hub2triton.tasks.spec import TaskSpec


@dataclass(frozen=True)
class GraphPlan:
    """Where the graph comes from.

    Attributes:
        precision: Of the graph's numbers.
        exporter: HUB for the published files, else what exports; never AUTO.
        published: The published graph, then its weights; empty where none is taken.
        model: All files of the model that torch needs; empty where its repository has no weights for torch.
        insists: Whether nothing else is tried when the published graph turns out not to fit.
    """

    precision: DType
    exporter: Exporter
    published: tuple[SourceFile, ...]
    model: tuple[SourceFile, ...]
    insists: bool

    @property
    def title(self) -> str:
        """Where it comes from, in a few words."""
        if self.published:
            return f"{self.precision.value}, {self.published[0].path} of the model"
        return f"{self.precision.value}, exported by {self.exporter.value}"

    def packs(self, device: Device) -> bool:
        """Whether layers that can are to leave padding out: on a CPU, where every number computed takes its time."""
        on_cpu = device is not Device.CUDA and self.precision in (DType.FP32, DType.INT8)
        return on_cpu and self.exporter is Exporter.TRANSFORMERS


def check_options(options: Options) -> None:
    """Refuses options that make no sense together.

    Raises:
        UsageError: They do not.
    """
    if options.onnx and options.weights is Weights.HUB:
        raise UsageError(
            "--onnx puts a graph into the repository, and --weights hub leaves the model on the Hub; choose one of them"
        )
    if not options.onnx and options.dtype is DType.INT8:
        raise UsageError("int8 is for --onnx, whose graphs can be quantized; add --onnx, or choose --dtype bf16")
    if not options.onnx and options.exporter is not Exporter.AUTO:
        raise UsageError("--exporter says how --onnx gets its graph; add --onnx, or leave it out")
    if options.optimum_python is not None and options.exporter is not Exporter.OPTIMUM:
        raise UsageError("--optimum-python is for --exporter optimum; add that, or leave it out")


def decide(
    options: Options, source: Source, spec: TaskSpec, facts: Facts, files: Sequence[SourceFile]
) -> GraphPlan | None:
    """Where the graph comes from; None without --onnx.

    Args:
        options: What the user asked for.
        source: What the model's repository has.
        spec: The task.
        facts: What the model's own files say.
        files: Those that are needed to serve it on torch.

    Raises:
        TaskMismatchError: The task, or this kind of model, is not computed from a graph.
        ExportError: A published graph is insisted on, and there is none.
    """
    if not options.onnx:
        return None
    _check_task(spec, facts, source.model_id)
    precision = DType.FP32 if options.dtype is DType.AUTO else options.dtype
    found = _published(source, precision) if options.exporter in (Exporter.AUTO, Exporter.HUB) else ()
    if options.exporter is Exporter.HUB and not found:
        raise ExportError(
            f"{source.model_id} has no ONNX file of {precision.value} (such as onnx/"
            f"{published.NAMES[precision][0]}.onnx); choose another --precision, or leave out --exporter hub"
        )
    exporter = Exporter.TRANSFORMERS if options.exporter is Exporter.AUTO else options.exporter
    for_torch = any(weights.is_weights(file) for file in files)
    return GraphPlan(
        precision=precision,
        exporter=Exporter.HUB if found else exporter,
        published=found,
        model=tuple(files) if for_torch else (),
        insists=options.exporter is Exporter.HUB or not for_torch,
    )


def _check_task(spec: TaskSpec, facts: Facts, model_id: str) -> None:
    able = ", ".join(sorted(other.name for other in tasks.SPECS if other.onnx is not None))
    if spec.onnx is None:
        raise TaskMismatchError(
            f"{spec.name} is not served with --onnx, since its models write piece by piece or run code of their own; "
            f"leave out --onnx. The tasks that are: {able}"
        )
    if spec.onnx.heads and facts.architectures and not model_facts.matches(spec.onnx.heads, facts.architectures):
        raise TaskMismatchError(
            f"{model_id} is not served with --onnx: its class is {facts.architectures[0]}, and for {spec.name} only "
            f"{' and '.join(spec.onnx.heads)} work in a single pass; leave out --onnx"
        )


def _published(source: Source, precision: DType) -> tuple[SourceFile, ...]:
    by_path = {file.path: file for file in source.files}
    found = published.find(by_path.keys(), precision, published.processor_features())
    return tuple(by_path[path] for path in found)

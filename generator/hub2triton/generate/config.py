"""config.pbtxt: rendered from its template, and parsed back before anybody sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton import __version__, model_config
from hub2triton.generate import template
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from hub2triton.generate.plan import Plan

QUEUE_BATCHES = 16
"""How many requests for each row of a full batch may be under way before one is refused."""


def render(plan: Plan) -> str:
    """The text of a plan's config.pbtxt.

    Raises:
        ValueError: The text is no valid model configuration, which would be an error of the template.
    """
    text = template.render(
        "config.pbtxt.jinja",
        spec=plan.spec,
        model_id=plan.source.model_id,
        revision=plan.source.revision,
        inputs=(*plan.spec.inputs, PARAMETERS),
        outputs=plan.variant.outputs,
        max_batch_size=plan.max_batch_size,
        queue_delay_us=plan.options.queue_delay_us,
        instances=plan.instances,
        instance_kind=plan.options.device.kind,
        parameters=_parameters(plan),
    )
    model_config.parse(text)
    return text


def _parameters(plan: Plan) -> list[tuple[str, str, str]]:
    """Name, value and comment of every parameter; the runtime reads them in hf_runtime/settings.py."""
    options = plan.options
    return [
        ("task", plan.task, "What this model is. The HTTP shim shapes its payloads by the task."),
        ("model_id", plan.source.model_id, ""),
        ("revision", plan.source.revision or "", ""),
        ("generator_version", __version__, ""),
        ("device", options.device.value, "auto, cpu or cuda; cpu and cuda go with KIND_CPU and KIND_GPU above."),
        *_precision(plan),
        ("threads", "auto", "CPU threads of each instance; auto divides the cores among the instances."),
        (
            "sub_batch_size",
            _sub_batch_size(plan),
            "Rows that go through the model at once: a batch is sorted by length and cut.",
        ),
        (
            "sub_batch_overhead",
            _sub_batch_overhead(plan),
            "Places of padding that take as long as one pass more; with more, it is cut less often and padded more.",
        ),
        (
            "max_queue_size",
            str(QUEUE_BATCHES * plan.max_batch_size),
            "Requests that may be under way; the shim refuses more at once (429) instead of letting everybody wait.",
        ),
        (
            "max_text_length",
            "1000000",
            "Characters; a longer text is refused, since tokenizing it would block the rest.",
        ),
        ("trust_remote_code", str(options.trust_remote_code).lower(), "Whether the model's own Python code may run."),
        *((setting.name, setting.value, setting.description) for setting in plan.spec.settings),
    ]


def _precision(plan: Plan) -> list[tuple[str, str, str]]:
    if plan.graph is None:
        about = "auto (fp32 on a CPU, the checkpoint's own on a GPU), fp32, fp16 or bf16."
        return [("dtype", plan.options.dtype.value, about)]
    return [
        ("dtype", plan.graph.precision.value, "What 1/model.onnx was made with; for another, generate it anew."),
        ("onnx_provider", "auto", "What computes the graph: auto (cpu, or cuda on a GPU), cpu, cuda or tensorrt."),
    ]


def _sub_batch_overhead(plan: Plan) -> str:
    """As MiniLM on a CPU has it.

    A pass of a graph takes as long as 10 to 20 tokens; where layers leave padding out, its places take about a third of
    a token's time or less, in attention. What cannot be a graph mostly writes texts: a pass is then as many steps as
    its longest text has tokens, each of which takes about the same time for one row as for many.
    """
    if plan.spec.onnx is None:
        return "5000"
    pads = plan.graph is not None and not plan.graph.packs(plan.options.device)
    return "10" if pads else "60"


def _sub_batch_size(plan: Plan) -> str:
    """Graphs run on one or two threads, whose caches are full early: 8 rows were faster than 16 by a fifth."""
    return "8" if plan.graph is not None else "16"

"""config.pbtxt: rendered from its template, and parsed back before anybody sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton import __version__, model_config
from hub2triton.generate import template
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from hub2triton.generate.plan import Plan

QUEUE_BATCHES = 16
"""How many full batches may wait before a request is refused."""


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
        max_queue_size=QUEUE_BATCHES * plan.max_batch_size,
        queue_delay_us=plan.options.queue_delay_us,
        instances=plan.options.instances,
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
        ("dtype", options.dtype.value, "auto (fp32 on a CPU, the checkpoint's own on a GPU), fp32, fp16 or bf16."),
        ("threads", "auto", "CPU threads of each instance; auto divides the cores among the instances."),
        ("sub_batch_size", "16", "Rows that go through the model at once: a batch is sorted by length and cut."),
        (
            "max_text_length",
            "1000000",
            "Characters; a longer text is refused, since tokenizing it would block the rest.",
        ),
        ("trust_remote_code", str(options.trust_remote_code).lower(), "Whether the model's own Python code may run."),
        *((setting.name, setting.value, setting.description) for setting in plan.spec.settings),
    ]

"""Whether a model's head, by what config.json says of it, is one for the task: told before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton.error import TaskMismatchError
from hub2triton.generate.facts import matches

if TYPE_CHECKING:
    from hub2triton.generate.facts import Facts
    from hub2triton.tasks.spec import TaskSpec

KNOWN = (
    "*Model",
    "*ForPreTraining",
    "*ForMaskedLM",
    "*ForCausalLM",
    "*ForConditionalGeneration",
    "*ForSequenceClassification",
    "*ForTokenClassification",
    "*ForQuestionAnswering",
    "*ForMultipleChoice",
    "*ForNextSentencePrediction",
    "*ForImageClassification",
    "*ForAudioClassification",
    "*ForCTC",
)
"""Classes of transformers whose names say what they are for. Others, as people name their own, may be for any task."""


def check(spec: TaskSpec, facts: Facts, model_id: str) -> None:
    """Refuses a model whose head is known to be another than the task's, which would not load.

    A model that says nothing of its head passes, and so does one that sentence-transformers saved as the kind that the
    task is natural for.

    Raises:
        TaskMismatchError: The head is for something else, or has no label of the kind that the task needs.
    """
    if facts.own_code or facts.kind in spec.kinds:
        return
    if spec.heads and _all_for_something_else(spec, facts):
        raise TaskMismatchError(
            f"{model_id} does not fit {spec.name}: its class is {facts.architectures[0]}, which has no weights for "
            f"this task. Choose another --task, or a model trained for {spec.name}"
        )
    if spec.labels and not matches(spec.labels, (label.lower() for label in facts.labels)):
        named = f" ({', '.join(facts.labels[:8])})" if facts.labels else ""
        raise TaskMismatchError(
            f"{model_id} does not fit {spec.name}: none of its labels{named} looks like {' or '.join(spec.labels)}. "
            "Choose another model, or name its labels in label2id of config.json"
        )


def _all_for_something_else(spec: TaskSpec, facts: Facts) -> bool:
    return bool(facts.architectures) and not any(
        matches(spec.heads, [name]) or not matches(KNOWN, [name]) for name in facts.architectures
    )

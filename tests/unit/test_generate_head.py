from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests import models

from hub2triton import tasks
from hub2triton.error import TaskMismatchError
from hub2triton.generate import generation, head
from hub2triton.generate.facts import Facts
from hub2triton.generate.options import Options
from hub2triton.tasks.spec import Library, TaskSpec

NLI = ("contradiction", "neutral", "ENTAILMENT")


def facts(*architectures: str, labels: tuple[str, ...] = NLI, kind: str | None = None, own_code: bool = False) -> Facts:
    return Facts(architectures, Library.TRANSFORMERS, kind, labels, own_code)


def check(task: str, found: Facts) -> None:
    spec = tasks.find(task)
    assert spec is not None
    head.check(spec, found, "acme/tiny")


@pytest.mark.parametrize("task", sorted(models.FAMILIES))
def test_every_family_fits_its_task(tiny: Callable[[str], Path], tmp_path: Path, task: str) -> None:
    for family in models.FAMILIES[task]:
        assert generation.plan(Options(model=str(tiny(family)), output=tmp_path, task=task)).spec.name == task


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("text-classification", "BertForSequenceClassification"),
        ("text-classification", "BertForMultiLabelClassification"),  # a name that somebody gave a class of their own
        ("zero-shot-classification", "BartForSequenceClassification"),
        ("sentence-ranking", "XLMRobertaForSequenceClassification"),
        ("token-classification", "DebertaV2ForTokenClassification"),
        ("question-answering", "XLMForQuestionAnsweringSimple"),
        ("fill-mask", "BertForPreTraining"),
        ("fill-mask", "XLMWithLMHeadModel"),
        ("fill-mask", "BartModel"),  # as facebook/bart-base has it
        ("fill-mask", "RobertaForCausalLM"),
        ("table-question-answering", "TapasForQuestionAnswering"),
        ("table-question-answering", "BartForConditionalGeneration"),
        ("summarization", "T5WithLMHeadModel"),
        ("summarization", "BartModel"),
        ("translation", "MarianMTModel"),
        ("translation", "EncoderDecoderModel"),
        ("text2text-generation", "T5ForConditionalGeneration"),
        ("text-generation", "GPT2LMHeadModel"),
        ("text-generation", "GPT2Model"),  # whose head is its embeddings
        ("text-generation", "Gemma3ForConditionalGeneration"),
        ("conversational", "Qwen2ForCausalLM"),
        ("feature-extraction", "BertForMaskedLM"),
        ("sentence-embeddings", "MPNetForMaskedLM"),
        ("sentence-similarity", "BertModel"),
    ],
)
def test_a_head_that_may_load_fits(task: str, name: str) -> None:
    check(task, facts(name))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("text-classification", ["BertForMaskedLM"]),
        ("text-classification", ["BertModel"]),
        ("text-classification", ["BertModel", "BertForMaskedLM"]),
        ("zero-shot-classification", ["BartForConditionalGeneration"]),
        ("token-classification", ["BertForSequenceClassification"]),
        ("question-answering", ["BertForTokenClassification"]),
        ("fill-mask", ["BertModel"]),
        ("fill-mask", ["BertForSequenceClassification"]),
        ("sentence-ranking", ["BertModel"]),
        ("sentence-ranking", ["GPT2LMHeadModel"]),
        ("table-question-answering", ["BertForQuestionAnswering"]),
        ("table-question-answering", ["TapasForMaskedLM"]),
        ("summarization", ["BertForSequenceClassification"]),
        ("translation", ["BertForMaskedLM"]),
        ("text2text-generation", ["LlamaForCausalLM"]),
        ("text-generation", ["BertForTokenClassification"]),
        ("conversational", ["ViTForImageClassification"]),
    ],
)
def test_a_head_for_something_else_is_refused(task: str, names: list[str]) -> None:
    with pytest.raises(
        TaskMismatchError, match=rf"^acme/tiny does not fit {task}: its class is {names[0]}, which .*--t"
    ):
        check(task, facts(*names))


def test_one_class_that_fits_is_enough() -> None:
    check("text-classification", facts("BertModel", "BertForSequenceClassification"))


@pytest.mark.parametrize("spec", tasks.SPECS, ids=lambda spec: spec.name)
def test_a_model_that_does_not_say_what_it_is_passes(spec: TaskSpec) -> None:
    head.check(spec, facts(), "acme/tiny")
    head.check(spec, facts("BertModel", labels=(), own_code=True), "acme/tiny")


def test_what_sentence_transformers_saved_is_known_by_its_kind() -> None:
    check("sentence-ranking", facts("Qwen3ForCausalLM", kind="CrossEncoder"))
    with pytest.raises(TaskMismatchError, match="its class is BertModel"):
        check("sentence-ranking", facts("BertModel", kind="SentenceTransformer"))


@pytest.mark.parametrize("labels", [("NEGATIVE", "POSITIVE"), ("LABEL_0", "LABEL_1"), ("not entailed",), ()])
def test_zero_shot_needs_a_label_for_entailment(labels: tuple[str, ...]) -> None:
    found = facts("RobertaForSequenceClassification", labels=labels)
    named = rf" \({', '.join(labels)}\)" if labels else ""
    with pytest.raises(TaskMismatchError, match=rf"none of its labels{named} looks like entail\*\. Choose another"):
        check("zero-shot-classification", found)
    check("text-classification", found)
    check("zero-shot-classification", replace(found, labels=(*labels, "Entailment")))


@pytest.mark.parametrize(
    ("model", "task", "words"),
    [
        ("bert_base", "text-classification", "its class is BertModel"),
        ("bert_masked", "text-classification", "its class is BertForMaskedLM"),
        ("bert_base", "sentence-ranking", "its class is BertModel"),
        ("sentence_mean", "sentence-ranking", "its class is BertModel"),
        ("bert_entities", "question-answering", "its class is BertForTokenClassification"),
        ("distilbert_sentiment", "zero-shot-classification", r"none of its labels \(NEGATIVE, POSITIVE\)"),
        ("bert_masked", "zero-shot-classification", "its class is BertForMaskedLM"),
    ],
)
def test_a_model_on_disk(tiny: Callable[[str], Path], tmp_path: Path, model: str, task: str, words: str) -> None:
    with pytest.raises(TaskMismatchError, match=words):
        generation.plan(Options(model=str(tiny(model)), output=tmp_path, task=task))

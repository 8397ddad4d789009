from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub2triton import tasks
from hub2triton.error import TaskMismatchError, UsageError
from hub2triton.generate import plan
from hub2triton.generate.facts import Facts
from hub2triton.generate.options import Device, DType, Options, Weights
from hub2triton.generate.source import Origin, Source, SourceFile
from hub2triton.tasks.spec import Library

PLAIN = Facts(("BertModel",), Library.TRANSFORMERS)
SENTENCE = Facts(("BertModel",), Library.SENTENCE_TRANSFORMERS, kind="SentenceTransformer")
CROSS = Facts(("BertForSequenceClassification",), Library.SENTENCE_TRANSFORMERS, kind="CrossEncoder")
FILES = ("config.json", "model.safetensors", "tokenizer.json")


def source(*paths: str, origin: Origin = Origin.HUB, model_id: str = "acme/tiny", tag: str | None = None) -> Source:
    files = tuple(SourceFile(path, 1) for path in paths or FILES)
    return Source(origin, model_id, "f00" if origin is Origin.HUB else None, tag, None, files)


def make(facts: Facts = PLAIN, found: Source | None = None, **options: Any) -> plan.Plan:
    return plan.make(Options(model="x", output=Path("out"), **options), found or source(), facts)


def reasons(made: plan.Plan) -> dict[str, tuple[str, str]]:
    return {decision.label: (decision.value, decision.reason) for decision in made.decisions}


@pytest.mark.parametrize(
    ("facts", "tag", "option", "task", "reason"),
    [
        (PLAIN, "sentence-similarity", "feature-extraction", "feature-extraction", "--task"),
        (PLAIN, "sentence-similarity", None, "sentence-similarity", "the Hub's metadata"),
        (SENTENCE, "feature-extraction", None, "feature-extraction", "the Hub's metadata"),
        (SENTENCE, "no-task-here", None, "sentence-embeddings", "modules.json: SentenceTransformer"),
        (SENTENCE, None, None, "sentence-embeddings", "modules.json: SentenceTransformer"),
        (CROSS, None, None, "sentence-ranking", "modules.json: CrossEncoder"),
        (PLAIN, None, None, "feature-extraction", "config.json: BertModel"),
    ],
)
def test_the_task_is_told_by_the_user_then_the_hub_then_the_files(
    facts: Facts, tag: str | None, option: str | None, task: str, reason: str
) -> None:
    made = make(facts, source(tag=tag), task=option)
    assert made.spec.name == task
    assert reasons(made)["task"] == (task, reason)


def test_a_local_models_card_is_called_a_card() -> None:
    made = make(found=source(origin=Origin.LOCAL, model_id="tiny", tag="feature-extraction"))
    assert reasons(made)["task"] == ("feature-extraction", "the model card")


def test_an_unknown_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=f"unknown task 'nope'; the tasks are: {', '.join(tasks.names())}"):
        make(task="nope")


def test_a_task_that_cannot_be_told_is_refused_with_what_is_known() -> None:
    facts = replace(PLAIN, architectures=("BertForNothing",))
    with pytest.raises(TaskMismatchError, match=r"told: no metadata, and its class is BertForNothing\. Name it"):
        make(facts)
    with pytest.raises(TaskMismatchError, match="its metadata says 'nope', which is no task here"):
        make(facts, source(tag="nope"))


BY_TRANSFORMERS = [spec for spec in tasks.SPECS if spec.library not in (Library.DIFFUSERS, Library.CUSTOM)]


@pytest.mark.parametrize("spec", BY_TRANSFORMERS, ids=lambda spec: spec.name)
def test_what_is_no_model_fits_no_task(spec: Any) -> None:
    with pytest.raises(TaskMismatchError, match=r"a diffusion pipeline \(model_index\.json\)"):
        make(Facts((), Library.DIFFUSERS), task=spec.name)
    with pytest.raises(TaskMismatchError, match=r"no transformers model \(no config\.json\)"):
        make(Facts((), None), task=spec.name)


@pytest.mark.parametrize("task", ["feature-extraction", "sentence-embeddings", "sentence-similarity"])
@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (("config.json", "model.safetensors"), "it has no tokenizer"),
        (("config.json", "tokenizer.json", "model.onnx"), "it has no PyTorch weights"),
        (("config.json", "tokenizer.json", "openvino/model.bin", "training_args.bin"), "it has no PyTorch weights"),
    ],
)
def test_a_model_without_what_a_task_needs_does_not_fit(task: str, paths: tuple[str, ...], words: str) -> None:
    with pytest.raises(TaskMismatchError, match=rf"does not fit {task}: {words}.* \(its class is BertModel\)"):
        make(found=source(*paths), task=task)


@pytest.mark.parametrize(
    ("facts", "task", "library"),
    [
        (PLAIN, "feature-extraction", Library.TRANSFORMERS),
        (SENTENCE, "feature-extraction", Library.SENTENCE_TRANSFORMERS),
        (PLAIN, "sentence-embeddings", Library.SENTENCE_TRANSFORMERS),  # which makes a mean pooling of its own
    ],
)
def test_the_library_is_the_models_own_where_the_task_has_a_variant(facts: Facts, task: str, library: Library) -> None:
    made = make(facts, task=task)
    assert made.library is library
    assert made.variant is made.spec.variants[library]


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("acme/tiny", "acme--tiny"),
        ("bert-base-uncased", "bert-base-uncased"),
        ("v1.0_x", "v1.0_x"),
        ('my model\'s "best"', "my-model-s--best-"),
        ("..hidden", "hidden"),
        ("--", "model"),
        ("größe", "gr--e"),
        ('a"""\nimport os', "a----import-os"),
    ],
)
def test_a_name_is_made_of_the_id(model_id: str, name: str) -> None:
    made = make(found=source(model_id=model_id, origin=Origin.LOCAL))
    assert made.name == name
    assert plan.NAME.fullmatch(made.name)
    assert made.source.model_id == name  # a directory's own name never gets into a file


def test_a_name_may_be_given() -> None:
    made = make(name="my.model-1")
    assert (made.name, made.source.model_id) == ("my.model-1", "acme/tiny")
    assert reasons(made)["name"] == ("my.model-1", "--name")


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "../x", "a b", "a\n", "é"])
def test_a_name_that_is_no_folders_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        make(name=name)


def test_the_weights_of_a_local_model_cannot_stay_on_the_hub() -> None:
    with pytest.raises(UsageError, match="--weights hub needs a model on the Hub"):
        make(found=source(origin=Origin.LOCAL), weights=Weights.HUB)


def test_every_decision_says_where_it_comes_from() -> None:
    defaults = reasons(make())
    assert defaults["model"] == ("acme/tiny", "the Hub")
    assert defaults["revision"] == ("f00", "the Hub's main")
    assert defaults["batch"] == ("32 rows", "default")
    for label in ("device", "dtype", "instances", "weights"):
        assert defaults[label][1] == "default"
    given = reasons(
        make(
            revision="v1",
            device=Device.CPU,
            dtype=DType.FP16,
            max_batch_size=4,
            instances=2,
            weights=Weights.COPY,
        )
    )
    assert given["revision"] == ("f00", "--revision v1")
    assert given["device"] == ("cpu", "--device")
    assert given["dtype"] == ("fp16", "--dtype")
    assert given["batch"] == ("4 rows", "--max-batch-size")
    assert given["instances"] == ("2", "--instances")
    assert given["weights"] == ("copy", "--weights")


def test_a_local_models_decisions() -> None:
    found = reasons(make(found=source(origin=Origin.LOCAL, model_id="tiny")))
    assert found["model"] == ("tiny", "a local directory")
    assert found["revision"] == ("none", "a local directory has none")


def test_only_the_files_that_are_needed_are_in_the_plan() -> None:
    made = make(found=source(*FILES, "README.md", "pytorch_model.bin", "onnx/model.onnx"))
    assert [file.path for file in made.files] == list(FILES)


@pytest.mark.parametrize("path", ["../x.json", "a/../../x.json", "/etc/x.json", "a/..", "a\x00b", "a\nb.json"])
def test_files_that_lead_out_of_the_model_are_refused(path: str) -> None:
    with pytest.raises(TaskMismatchError, match="leads out of its folder"):
        make(found=source(*FILES, path))
    assert make(found=source(*FILES, "a..b/..c.json")).files


# ---- pipelines of diffusers

PIPELINE = Facts(("StableDiffusionPipeline",), Library.DIFFUSERS, components=("unet", "vae"))
PARTS = ("model_index.json", "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors")


def test_a_pipeline_is_told_by_its_index_and_takes_what_that_names() -> None:
    made = make(PIPELINE, source(*PARTS, "root.safetensors", "safety_checker/model.safetensors"))
    assert (made.spec.name, made.library) == ("text-to-image", Library.DIFFUSERS)
    assert reasons(made)["task"] == ("text-to-image", "model_index.json: StableDiffusionPipeline")
    assert [file.path for file in made.files] == list(PARTS)


@pytest.mark.parametrize("library", [None, Library.TRANSFORMERS, Library.SENTENCE_TRANSFORMERS])
def test_what_is_no_pipeline_makes_no_images(library: Library | None) -> None:
    with pytest.raises(
        TaskMismatchError, match=r"does not fit text-to-image: it is no diffusion pipeline \(no model_in"
    ):
        make(Facts((), library), source(*PARTS), task="text-to-image")


def test_a_pipeline_without_weights_is_refused() -> None:
    with pytest.raises(TaskMismatchError, match="the folders of its pipeline hold no PyTorch weights"):
        make(PIPELINE, source("model_index.json", "root.safetensors", "unet/model.onnx"), task="text-to-image")


# ---- the model's own code


@pytest.mark.parametrize("library", [None, *Library])
@pytest.mark.parametrize("name", ["handler.py", "pipeline.py"])
def test_own_code_serves_any_model_and_takes_all_files(library: Library | None, name: str) -> None:
    facts = Facts((), library, requirements=("einops==0.8",))
    made = make(facts, source(name, "README.md", "model.onnx", ".gitattributes"), task="custom")
    assert (made.library, made.requirements) == (Library.CUSTOM, ("einops==0.8",))
    assert [file.path for file in made.files] == [name, "README.md", "model.onnx"]
    assert reasons(made)["code"] == ("the model's own handler.py will run", "--task")


def test_own_code_runs_only_if_it_is_asked_for() -> None:
    with pytest.raises(TaskMismatchError, match="cannot be told"):
        make(Facts((), None), source("handler.py", tag="custom"))
    assert make(PLAIN, source(*FILES, "handler.py", tag="custom")).spec.name == "feature-extraction"
    assert "code" not in reasons(make())
    assert make(replace(PLAIN, requirements=("einops",))).requirements == ()


def test_a_model_without_code_of_its_own_is_refused() -> None:
    with pytest.raises(TaskMismatchError, match=r"does not fit custom: it has no handler\.py, and no pipeline\.py"):
        make(task="custom", found=source(*FILES, "sub/handler.pyc"))

"""Models as generate-repo writes them: what would be written, and one that was written taken into this process."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from hub2triton import tasks
from hub2triton.generate import render, tuning
from hub2triton.generate.export.graph_plan import GraphPlan
from hub2triton.generate.options import DType, Exporter, Options
from hub2triton.generate.plan import Plan
from hub2triton.generate.source import Origin, Source

if TYPE_CHECKING:
    from hub2triton.tasks.spec import Library, TaskSpec

MODEL_ID = "acme/tiny-model"
REVISION = "0123456789abcdef0123456789abcdef01234567"

VARIANTS = [(spec, library) for spec in tasks.SPECS for library in spec.variants]
WITH_GRAPHS = [(spec, library) for spec, library in VARIANTS if spec.onnx is not None]
VARIANT_NAMES = [f"{spec.name}--{library.value}" for spec, library in VARIANTS]

_names = (f"generated_{number}" for number in itertools.count())


def plan_of(spec: TaskSpec, library: Library, **options: Any) -> Plan:
    """The plan of a model on the Hub, whose files do not matter."""
    given = Options(model=MODEL_ID, output=Path("model_repository"), **options)
    return Plan(
        options=given,
        source=Source(Origin.HUB, MODEL_ID, REVISION, None, None, ()),
        spec=spec,
        library=library,
        variant=spec.variants[library],
        task=spec.name,
        name="tiny",
        max_batch_size=spec.max_batch_size,
        files=(),
        decisions=(),
        instances=tuning.instances(given)[0],
        graph=GraphPlan(DType.FP32, Exporter.TRANSFORMERS, (), (), insists=False) if given.onnx else None,
    )


def files_of(spec: TaskSpec, library: Library, **options: Any) -> dict[str, bytes]:
    """The text files of a variant, by path."""
    return render.render(plan_of(spec, library, **options))


def parsed(config: str | bytes) -> ModelConfig:
    """A config.pbtxt as Triton reads it."""
    text = config.decode() if isinstance(config, bytes) else config
    parsed_config: ModelConfig = text_format.Parse(text, ModelConfig())
    return parsed_config


def module(folder: Path) -> types.ModuleType:
    """Imports 1/model.py of a model's folder as Triton does: as a part of the package that its version folder is."""
    package = types.ModuleType(next(_names))
    package.__path__ = [str(folder / "1")]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.model")


def initialized(folder: Path) -> Any:
    """The model of a folder, ready to execute; on the CPU, whatever this machine has."""
    model = module(folder).TritonPythonModel()
    config = json_format.MessageToDict(
        parsed((folder / "config.pbtxt").read_text()),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,  # as Triton does
    )
    model.initialize(
        {
            "model_config": json.dumps(config),
            "model_name": folder.name,
            "model_repository": str(folder),
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    return model

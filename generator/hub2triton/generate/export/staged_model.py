"""A generated model in this process, without Triton: loaded, asked the task's example, and watched meanwhile."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hub2triton import model_config
from hub2triton.shim import tensors
from hub2triton.tasks.payload import Limits, Payload
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from hub2triton.tasks.spec import TaskSpec

    Arrays = Mapping[str, np.ndarray[Any, Any]]

TRITON = "triton_python_backend_utils"
"""The module that only Triton's own processes have; a model.py imports it, and needs it to answer requests only."""


class Outputs(dict[str, Any]):
    """What an engine gave; it notes the names that the runtime reads, which are those that a graph must have."""

    def __init__(self, values: Arrays, read: set[str]) -> None:
        super().__init__(values)
        self._read = read

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        self._read.update(super().keys())
        return super().__iter__()

    def items(self) -> Any:
        """All of them, so that all count as read."""
        self._read.update(super().keys())
        return super().items()


class StagedModel:
    """The model.py of a folder.

    Attributes:
        runtime: Imports a module of the model's hf_runtime.
        engine: What computes the model, once it was loaded; None where it loads none.
        auto_class: The class of transformers that it asks for.
        tokenizer: The model's, where it loads one.
        inputs: What the engine was given, one entry a forward pass.
        read: The names of the outputs that were read.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Imports the runtime and puts watchers into it.

        Args:
            folder: The model's.
            name: For its modules here; each model needs another.
        """
        sys.modules.setdefault(TRITON, ModuleType(TRITON))
        package = ModuleType(name)
        package.__path__ = [str(folder / "1")]
        sys.modules[name] = package
        self.folder = folder
        self.runtime: Callable[[str], Any] = lambda module: importlib.import_module(f"{name}.hf_runtime.{module}")
        self.engine: Any = None
        self.auto_class = ""
        self.tokenizer: Any = None
        self.inputs: list[Arrays] = []
        self.read: set[str] = set()
        self._name = name
        # The runtime holds what the model imports: one that reads no text has no tokenizer.
        self._tokenizers: Any = self.runtime("tokenizer") if (folder / "1/hf_runtime/tokenizer.py").is_file() else None
        self._load_tokenizer = self._tokenizers.load if self._tokenizers is not None else None

    def load(self, make_engine: Callable[[Any, str, bool], Any] | None = None) -> None:
        """Loads the model.

        Args:
            make_engine: Of settings, a class of transformers and whether it has no head, in place of the runtime's own
                way to an engine.
        """
        engines = self.runtime("engine")
        own_engine = engines.load

        def engine(settings: Any, auto_class: str, *, headless: bool = False) -> Any:
            self.auto_class = auto_class
            make = make_engine or (lambda *asked: own_engine(*asked[:2], headless=asked[2]))
            self.engine = make(settings, auto_class, headless)
            self._watch(self.engine)
            return self.engine

        engines.load = engine
        if self._tokenizers is not None:
            self._tokenizers.load = self.load_tokenizer
        self._model = importlib.import_module(f"{self._name}.model").TritonPythonModel()
        self._model.initialize(
            {
                "model_config": _config_json(self.folder),
                "model_name": self.folder.name,
                "model_repository": str(self.folder),
                "model_version": "1",
                "model_instance_kind": "CPU",
                "model_instance_device_id": "0",
            }
        )

    def load_tokenizer(self, settings: Any) -> Any:
        """The model's tokenizer; None of a model without one."""
        if self._load_tokenizer is not None:
            self.tokenizer = self._load_tokenizer(settings)
        return self.tokenizer

    @property
    def settings(self) -> Any:
        """What config.pbtxt says of the model, once it was loaded."""
        return self._model.settings

    def ask_example(self, spec: TaskSpec) -> None:
        """Answers the example of the task."""
        payload = Payload.from_json(dict(spec.example), Limits(), spec.root_forms)
        call = spec.encode(payload)
        parameters = self.runtime("parameters")
        given = parameters.parse(json.dumps(dict(call.parameters)), parameters.accepted(self._model.predict))
        row = self.runtime("row").Row
        limit = self.settings.max_text_length
        items = []
        for arrays in tensors.chunks(call.rows, (*spec.inputs, PARAMETERS), len(call.rows)):
            rows = [
                row({name: array[index] for name, array in arrays.items()}, limit)
                for index in range(len(next(iter(arrays.values()))))
            ]
            items += self._model.read_each(rows)
        for item in items:
            if isinstance(item, Exception):
                raise item
        self._model.predict(items, **given)

    def _watch(self, engine: Any) -> None:
        run = engine.run

        def watched(inputs: Arrays) -> Outputs:
            self.inputs.append({name: inputs[name] for name in inputs if name in engine.inputs})
            return Outputs(run(inputs), self.read)

        engine.run = watched


def _config_json(folder: Path) -> str:
    """config.pbtxt as Triton gives it to a model."""
    from google.protobuf import json_format

    config = model_config.parse((folder / "config.pbtxt").read_text(encoding="utf-8"))
    told = json_format.MessageToDict(
        config, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(told)

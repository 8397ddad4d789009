"""The shim over HTTP against requests made up from its own OpenAPI document; a stand-in answers in place of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests import fuzz

from hf_runtime.tensor import NUMPY_TYPES
from hub2triton import tasks
from hub2triton.shim import app
from hub2triton.shim.model import Model, State
from hub2triton.tensor import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemathesis.specs.openapi.schemas import OpenApiSchema

    from hub2triton.tasks.spec import Answer, Call, Row

EXAMPLES = 10
"""Right requests to each route, and as many wrong ones."""

MEANT = {"finish_reason": b"length", "details_json": b"{}"}


@dataclass
class StandIn:
    """A Triton whose models of all tasks answer anything of the declared types."""

    async def models(self, _known: Mapping[str, Model], *, fresh: bool) -> dict[str, Model]:
        return {
            spec.name: Model(
                spec.name,
                State.READY,
                spec=spec,
                inputs=(*spec.inputs, PARAMETERS),
                outputs=spec.variants[spec.library].outputs,
                max_text_length=5000,
            )
            for spec in tasks.SPECS
        }

    def admit(self, _model: Model) -> None:
        pass

    async def infer(self, model: Model, call: Call) -> list[Answer]:
        return [self._answer(model, row) for row in call.rows]

    @staticmethod
    def _answer(model: Model, row: Row) -> Answer:
        # A list of answers is as long as the list that was asked.
        length = next((len(value) for value in row.values() if isinstance(value, list)), 2)
        answer = {}
        for tensor in model.outputs:
            kind = NUMPY_TYPES[tensor.datatype.config]
            shape = [length if dim == -1 else dim for dim in tensor.dims]
            answer[tensor.name] = np.full(shape, MEANT.get(tensor.name, b"x") if kind is np.object_ else 1, dtype=kind)
        return answer

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "Triton", lambda *_: StandIn())
        with TestClient(app.create(app.Settings(triton="localhost:1")), raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="module")
def document(http: TestClient) -> OpenApiSchema:
    return fuzz.read(http.get("/openapi.json").json())


def test_the_document_is_openapi(document: OpenApiSchema) -> None:
    document.validate()


@pytest.mark.parametrize("path", fuzz.PATHS)
def test_made_up_requests(path: str, http: TestClient, document: OpenApiSchema) -> None:
    assert fuzz.run(document, path, http, EXAMPLES) >= EXAMPLES // 3

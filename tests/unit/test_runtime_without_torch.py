"""Text encoders with a graph, in processes that cannot import torch or transformers, against the same ones on torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import cases, plain_process
from tests.asked import Asked

from hub2triton.generate import generation
from hub2triton.generate.options import Options

FAMILIES = {
    "feature-extraction": "gpt2_base",
    "fill-mask": "roberta_masked",
    "question-answering": "distilbert_squad",
    "text-classification": "bart_nli",
    "token-classification": "xlm_roberta_entities",
    "zero-shot-classification": "deberta_nli",
}

MORE: dict[str, list[cases.Case]] = {
    "feature-extraction": [cases.Case(""), cases.Case(["", "x"]), cases.Case("the old horse " * 30)],
    "fill-mask": [cases.Case("a [MASK] and a [MASK]", {"top_k": 3})],
    "question-answering": [cases.Case({"question": "who?", "context": "The old man is sad. " * 30}, {"top_k": 5})],
    "text-classification": [cases.Case(["a</s>b", "a b"], {"top_k": None})],
    "token-classification": [
        cases.Case("the old horse in Paris " * 20, {"aggregation_strategy": strategy, "stride": 5})
        for strategy in ("simple", "first", "average", "max")
    ],
}


def close(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> None:
    """Numbers with a fraction may differ by rounding, all else not at all."""
    assert found.dtype == wanted.dtype
    if np.issubdtype(wanted.dtype, np.floating):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    else:
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(("task", "family"), FAMILIES.items(), ids=FAMILIES)
def test_a_graph_answers_as_torch(task: str, family: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    on_torch = Asked(task, tiny(family), tmp_path / "torch")
    requests = [
        request
        for case in [*cases.cases(task, family), *MORE.get(task, [])]
        for request in on_torch.requests(on_torch.call(case.inputs, **case.parameters))
    ]
    wanted = on_torch.model.execute(requests)

    options = Options(model=str(tiny(family)), output=tmp_path / "graph", task=task, name="tiny", onnx=True)
    generation.write(generation.plan(options), force=False)
    assert (tmp_path / "graph/tiny/1/model.onnx").is_file()
    found = plain_process.responses(tmp_path / "graph/tiny", requests)

    for one, other in zip(found, wanted, strict=True):
        assert one.error == other.error
        if other.error is None:
            assert one.arrays.keys() == other.arrays.keys()
            for name, array in other.arrays.items():
                close(one.arrays[name], array)
    assert any(other.error is None for other in wanted)


def test_a_model_without_a_graph_needs_torch(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    asked = Asked("fill-mask", tiny("bert_masked"), tmp_path)
    with pytest.raises(ImportError, match="torch"):
        plain_process.responses(next(tmp_path.iterdir()), asked.requests(asked.call("a [MASK]")))

"""Every family of models of every task answers over HTTP what its generated model answers in this process.

What that is, the unit tests hold against the reference libraries, family by family.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests import models
from tests.asked import Asked
from tests.e2e.conftest import loading
from tests.e2e.service import Service

from hub2triton import tasks

pytestmark = pytest.mark.e2e

CERTAIN = {"do_sample": False, "max_new_tokens": 12}
"""For tasks that generate: tokens that can be compared, and not many."""

OF_MODEL: dict[tuple[str, str], dict[str, Any]] = {
    ("translation", "t5_prefixes"): {"src_lang": "en", "tgt_lang": "fr"},
    ("table-question-answering", "tapex_bart"): {"truncation": True},  # the example's table is long for a tiny window
}
"""What a model must be told besides."""


def same(found: Any, wanted: Any) -> bool:
    """Equal, but numbers with a fraction to 1e-4."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float):
        return bool(np.isclose(found, wanted, atol=1e-4))
    return bool(found == wanted)


@pytest.mark.parametrize("name", sorted(models.FAMILIES))
def test_families(name: str, served: Service, repository: Path, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    spec = tasks.find(name)
    assert spec is not None
    given = {**spec.example.get("parameters", {})}
    if any(parameter.name == "do_sample" for parameter in spec.parameters):
        given |= CERTAIN
    families = models.FAMILIES[name]
    assert len(families) > 1
    with loading(served, repository) as load:
        load(*((f"{name}--{family}", tiny(family), name) for family in families))
        for family in families:
            inputs, parameters = spec.example["inputs"], given | OF_MODEL.get((name, family), {})
            body = {"inputs": inputs, "parameters": parameters}
            response = httpx.post(f"{served.url}/models/{name}--{family}", json=body, timeout=120)
            assert response.status_code == 200, f"{family}: {response.text}"
            wanted = Asked(name, tiny(family), tmp_path)(inputs, **parameters)
            assert same(response.json(), wanted), f"{family}: {response.text} is not {wanted}"


def test_every_task_has_families() -> None:
    assert models.FAMILIES.keys() == set(tasks.names())

"""One more model for each task, in the server that runs, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import models
from tests.e2e.conftest import loading
from tests.e2e.service import Service

from hub2triton import tasks


@pytest.fixture(scope="package")
def all_tasks(served: Service, repository: Path, tiny: Callable[[str], Path]) -> Iterator[Service]:
    """The server with a model for each task, named as the task."""
    with loading(served, repository) as load:
        load(*((name, tiny(models.FAMILIES[name][0]), name) for name in tasks.names()))
        yield served

"""Rows that are files are read side by side, each with its own outcome."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from triton_python_backend_utils import InferenceRequest, TritonError

from hf_runtime.error import InvalidInput
from hf_runtime.media_model import MediaModel
from hf_runtime.row import Row

CONFIG = {
    "input": [{"name": "image", "data_type": "TYPE_STRING", "dims": [1]}],
    "output": [{"name": "size", "data_type": "TYPE_INT32", "dims": [1]}],
    "parameters": {"threads": {"string_value": "2"}},
}
ARGUMENTS = {
    "model_config": json.dumps(CONFIG),
    "model_name": "m",
    "model_repository": "/nowhere",
    "model_version": "1",
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
}


class Sizes(MediaModel[bytes]):
    """Reads nothing until two rows are being read at once."""

    def load(self) -> None:
        self.both = threading.Barrier(2, timeout=10)

    def read(self, row: Row) -> bytes:
        self.both.wait()
        if row.raw("image") == b"bad":
            raise InvalidInput("bad")
        return row.raw("image")

    def predict(self, items: list[bytes]) -> list[dict[str, Any]]:
        return [{"size": [len(item)]} for item in items]


@pytest.fixture
def model() -> Iterator[Sizes]:
    before = set(threading.enumerate())
    found = Sizes()
    found.initialize(ARGUMENTS)
    yield found
    found.finalize()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def request(*values: bytes) -> InferenceRequest:
    return InferenceRequest({"image": np.array([[value] for value in values], dtype=np.object_)}, ("size",))


def test_rows_of_one_and_of_several_requests_are_read_at_once(model: Sizes) -> None:
    (answer,) = model.execute([request(b"a", b"bb")])
    assert answer.arrays["size"].tolist() == [[1], [2]]
    one, two = model.execute([request(b"a"), request(b"bb")])
    assert (one.arrays["size"].tolist(), two.arrays["size"].tolist()) == ([[1]], [[2]])


def test_a_row_that_cannot_be_read_fails_its_own_request_alone(model: Sizes) -> None:
    good, bad, more = model.execute([request(b"a"), request(b"bad", b"cc"), request(b"d")])
    assert bad.refusal == TritonError("bad", TritonError.INVALID_ARG)
    assert (good.arrays["size"].tolist(), more.arrays["size"].tolist()) == ([[1]], [[1]])

"""The base of every generated model: Triton's three calls on one side, `load`, `read` and `predict` on the other."""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import triton_python_backend_utils as pb_utils

from . import parameters as request_parameters
from . import tensor
from .batch import CHARACTERS_PER_TOKEN, grouped, in_sub_batches
from .error import InvalidInput, trace
from .row import Row
from .settings import Settings
from .waiting import WAITING, NobodyWaits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Item = TypeVar("Item")
Answer = dict[str, Any]  # output name -> the value of one row, without the batch dimension

STALE_S = 0.25
"""Seconds of one execution after which somebody may have left the queue behind it. To find out costs a request a
message to Triton and back, so after shorter ones nobody is asked."""

MAX_ERROR_BYTES = 2000
"""Of an error's text, which may repeat what the caller sent. Over gRPC it is a header, where a byte beyond ASCII takes
three, and a client that gets more than 8 KiB of headers drops the answer."""


@dataclass(frozen=True)
class _Request:
    """What a request holds: its place in the batch, its rows as they were sent, what it asks for, and who waits."""

    index: int
    rows: list[Row]
    parameters: dict[str, Any]
    outputs: frozenset[str]
    cancelled: Callable[[], bool]


@dataclass(frozen=True)
class _Job(Generic[Item]):
    """A request whose rows were read."""

    request: _Request
    items: list[Item]

    @property
    def key(self) -> str:
        """Equal for jobs whose rows may go through the model together."""
        return json.dumps(self.request.parameters, sort_keys=True)


class Model(Generic[Item]):
    """One instance of a model. A model.py subclasses it as `TritonPythonModel` and writes three methods.

    Triton hands `execute` requests of many callers at once. Their rows are read one request at a time, grouped
    by parameters, sorted by length and predicted in bounded sub-batches. A request that cannot be answered gets
    an error of its own; the others in the batch do not notice.
    """

    settings: Settings

    _took = 0.0
    """Seconds of the last execution."""

    predict: Callable[..., Sequence[Answer]]
    """Answers a batch of items, one answer an item, in order. Not declared as a method here because each model
    adds its own parameters, as keyword arguments with types; requests are checked against them before."""

    def load(self) -> None:
        """Loads what `predict` needs, by `self.settings`. Called once, before the first request."""
        raise NotImplementedError

    def read(self, row: Row) -> Item:
        """Turns one row of tensors into what `predict` takes; raises InvalidInput for a row it cannot take."""
        raise NotImplementedError

    def read_each(self, rows: Sequence[Row]) -> list[Item | Exception]:
        """Reads the rows of a batch: an item for each, or what is wrong with that one."""
        return [self.attempt(row) for row in rows]

    def attempt(self, row: Row) -> Item | Exception:
        """Reads one row."""
        try:
            return self.read(row)
        except Exception as error:
            return error

    units_per_token: ClassVar[int] = CHARACTERS_PER_TOKEN
    """How many of the units of `length` take as long as one token; a model of images or sounds has others."""

    def length(self, item: Item) -> int:
        """What rows are sorted and cut by, so that rows of similar cost share a pass."""
        return len(item) if isinstance(item, str | bytes | list) else 0

    # ---- what Triton calls

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's call before the first request."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # what a model prints is to be seen when it prints it
            sys.stdout.reconfigure(line_buffering=True)
        self.settings = Settings.from_args(args)
        self._parameters = request_parameters.accepted(self.predict)
        self.load()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Triton's call with a batch of requests; never raises, since that would fail all of them."""
        began = time.monotonic()
        responses: list[Any] = [None] * len(requests)
        opened = []
        for index, request in enumerate(requests):
            if self._took > STALE_S and request.is_cancelled():
                responses[index] = _gone()
                continue
            try:
                opened.append(self._open(index, request))
            except Exception as error:
                responses[index] = _failure(error)
        for group in grouped(self._jobs(opened, responses), key=lambda job: job.key):
            self._answer(group, responses)
        self._took = time.monotonic() - began
        return responses

    def finalize(self) -> None:
        """Triton's call when the model is unloaded; the process ends after it, which frees everything."""

    # ---- one batch

    def _open(self, index: int, request: Any) -> _Request:
        inputs = {}
        text = ""
        for declared in self.settings.inputs:
            found = pb_utils.get_input_tensor_by_name(request, declared.name)
            if found is None:
                continue  # only an optional input can be absent: Triton has checked
            array = found.as_numpy()
            if declared.name == "parameters_json":
                text = _one_value(array)
            else:
                inputs[declared.name] = array
        limit = self.settings.max_text_length
        return _Request(
            index=index,
            rows=[Row(tensors, limit) for tensors in tensor.split(inputs)],
            parameters=request_parameters.parse(text, self._parameters),
            outputs=frozenset(request.requested_output_names()),
            cancelled=request.is_cancelled,
        )

    def _jobs(self, opened: Sequence[_Request], responses: list[Any]) -> list[_Job[Item]]:
        """The requests of which every row can be read; the others get the first error of theirs as the response."""
        outcomes = iter(self.read_each([row for request in opened for row in request.rows]))
        jobs = []
        for request in opened:
            items: list[Item] = []
            errors = []
            for outcome in itertools.islice(outcomes, len(request.rows)):
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                else:
                    items.append(outcome)
            if errors:
                responses[request.index] = _failure(errors[0])
            else:
                jobs.append(_Job(request, items))
        return jobs

    def _answer(self, jobs: Sequence[_Job[Item]], responses: list[Any]) -> None:
        """Predicts the rows of jobs with equal parameters together, and fills in their responses."""
        items = [item for job in jobs for item in job.items]
        try:
            with WAITING.of([job.request.cancelled for job in jobs]):
                answers = in_sub_batches(
                    items,
                    lambda batch: self.predict(batch, **jobs[0].request.parameters),
                    length=lambda item: self.length(item) / self.units_per_token,
                    cut=self.settings.cut,
                )
            done = []
            for job in jobs:
                own, answers = answers[: len(job.items)], answers[len(job.items) :]
                done.append((job.request.index, self._response(own, job.request.outputs)))
        except NobodyWaits:
            done = [(job.request.index, _gone()) for job in jobs]
        except Exception as error:
            if len(jobs) > 1:  # find out whose it is: the others can still be answered
                for job in jobs:
                    self._answer([job], responses)
            else:
                responses[jobs[0].request.index] = _failure(error)
            return
        for index, response in done:
            responses[index] = response

    def _response(self, answers: Sequence[Answer], wanted: frozenset[str]) -> Any:
        packed = tensor.pack(answers, self.settings.outputs)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, array) for name, array in packed.items() if name in wanted]
        )


def _one_value(array: Any) -> str:
    """The value of `parameters_json`: one for the request, so all its rows must carry the same."""
    values = {bytes(value) for value in array.reshape(-1)}
    if len(values) > 1:
        raise InvalidInput("the rows of one request must have equal parameters_json; send the others by themselves")
    try:
        return values.pop().decode() if values else ""
    except UnicodeDecodeError as error:
        raise InvalidInput(f"parameters_json is not valid UTF-8: {error}") from None


def _gone() -> Any:
    """A response that nobody reads."""
    return _error_response("the caller has gone away", pb_utils.TritonError.CANCELLED)


def _failure(error: Exception) -> Any:
    """A response that tells the caller what happened; how it happened goes to the server's log."""
    if isinstance(error, InvalidInput):
        return _error_response(str(error), pb_utils.TritonError.INVALID_ARG)
    pb_utils.Logger.log_error(trace(error))
    return _error_response(f"the model failed: {type(error).__name__}: {error}", pb_utils.TritonError.INTERNAL)


def _error_response(message: str, code: Any) -> Any:
    text = message.encode(errors="replace")
    if len(text) > MAX_ERROR_BYTES:
        message = f"{text[:MAX_ERROR_BYTES].decode(errors='ignore')} …"
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))

"""The loop that answers batches of requests: who gets which answer, and who gets an error."""

from __future__ import annotations

import dataclasses
import itertools
import json
import urllib.parse
from typing import Any

import numpy as np
import pytest
from triton_python_backend_utils import InferenceRequest, InferenceResponse, Logger, TritonError

from hf_runtime import Answer, InvalidInput, Model, Row
from hf_runtime.waiting import WAITING

INPUTS = [
    {"name": "text", "data_type": "TYPE_STRING", "dims": [1]},
    {"name": "parameters_json", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
]
OUTPUTS = [
    {"name": "echo", "data_type": "TYPE_STRING", "dims": [1]},
    {"name": "letters", "data_type": "TYPE_INT32", "dims": [-1]},
    {"name": "count", "data_type": "TYPE_INT32", "dims": [1]},
]
ALL = ("echo", "letters", "count")


class Speller(Model[str]):
    """Gives back a text and its letters as numbers, each `times` over; cannot take a boom, nor refuse politely."""

    def load(self) -> None:
        self.batches: list[tuple[list[str], dict[str, Any]]] = []

    def read(self, row: Row) -> str:
        return row.text("text")

    def predict(self, items: list[str], *, times: int = 1, note: str = "") -> list[Answer]:
        self.batches.append((items, {"times": times, "note": note}))
        if "boom" in items:
            raise RuntimeError("no idea")
        if "refuse" in items:
            raise InvalidInput("I do not like this text")
        return [{"echo": item, "letters": list(item.encode() * times)} for item in items]


@pytest.fixture
def model() -> Speller:
    speller = Speller()
    config = {"input": INPUTS, "output": OUTPUTS, "parameters": {"sub_batch_size": {"string_value": "4"}}}
    speller.initialize(
        {
            "model_config": json.dumps(config),
            "model_name": "speller",
            "model_repository": "/models/speller",
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    Logger.errors.clear()
    return speller


def column(*values: str | bytes) -> np.ndarray[Any, Any]:
    array = np.empty((len(values), 1), dtype=np.object_)
    array[:, 0] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def request(*texts: str | bytes, parameters: str | bytes | None = "{}", outputs: tuple[str, ...] = ALL) -> Any:
    inputs = {"text": column(*texts)}
    if parameters is not None:
        inputs["parameters_json"] = column(*[parameters] * len(texts))
    return InferenceRequest(inputs, outputs)


def echoes(response: InferenceResponse) -> list[str]:
    return [value.decode() for value in response.arrays["echo"][:, 0]]


def test_every_request_gets_its_own_rows_in_order(model: Speller) -> None:
    responses = model.execute([request("bb", "a"), request("dddd"), request("ccc", "", "e")])
    assert [echoes(response) for response in responses] == [["bb", "a"], ["dddd"], ["ccc", "", "e"]]


def test_rows_are_sorted_by_length_across_requests_and_cut_into_sub_batches(model: Speller) -> None:
    model.execute([request("bb", "a"), request("dddd"), request("ccc", "", "e")])
    assert [items for items, _ in model.batches] == [["", "a", "e"], ["bb", "ccc", "dddd"]]


def test_lists_are_padded_within_a_request_and_counted(model: Speller) -> None:
    short, long = model.execute([request("a", "ab"), request("abcd")])
    assert short.arrays["letters"].tolist() == [[97, 0], [97, 98]]
    assert short.arrays["count"].tolist() == [[1], [2]]
    assert long.arrays["letters"].tolist() == [[97, 98, 99, 100]]
    assert long.arrays["count"].tolist() == [[4]]


def test_requests_with_equal_parameters_share_a_batch_and_others_do_not(model: Speller) -> None:
    responses = model.execute(
        [
            request("a", parameters='{"times": 2, "note": "x"}'),
            request("b"),
            request("c", parameters='{"note": "x", "times": 2}'),
            request("d", parameters=None),
        ]
    )
    assert [echoes(response) for response in responses] == [["a"], ["b"], ["c"], ["d"]]
    assert [response.arrays["count"].item() for response in responses] == [2, 1, 2, 1]
    assert model.batches == [(["a", "c"], {"times": 2, "note": "x"}), (["b", "d"], {"times": 1, "note": ""})]


def test_only_the_outputs_asked_for_are_given(model: Speller) -> None:
    one, all_of_them, none = model.execute([request("a", outputs=("letters",)), request("b"), request("c", outputs=())])
    assert one.arrays.keys() == {"letters"}
    assert all_of_them.arrays.keys() == set(ALL)
    assert none.arrays == {}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (request("x", parameters="{"), "parameters_json is not valid JSON"),
        (request("x", parameters=b"\xff"), "parameters_json is not valid UTF-8"),
        (request("x", parameters='{"nope": 1}'), "unknown parameter 'nope'; this model takes: note, times"),
        (request("x", parameters='{"times": "2"}'), "parameter 'times' must be a whole number"),
        (request("x", b"\xff\xfe"), "input 'text' is not valid UTF-8"),
        (request("x" * 1_000_001), "has 1,000,001 characters"),
        (request("y", "refuse"), "I do not like this text"),
    ],
    ids=["json", "utf8", "unknown", "type", "text", "long", "refused"],
)
def test_a_callers_mistake_is_that_callers_alone(model: Speller, bad: InferenceRequest, words: str) -> None:
    before, wrong, after = model.execute([request("a"), bad, request("b", "c")])
    assert echoes(before) == ["a"]
    assert echoes(after) == ["b", "c"]
    assert words in wrong.refusal.message
    assert wrong.refusal.code == TritonError.INVALID_ARG
    assert Logger.errors == []  # the server's log is for what the server did wrong


def test_rows_of_one_request_cannot_have_several_parameters(model: Speller) -> None:
    inputs = {"text": column("a", "b"), "parameters_json": column("{}", '{"times": 2}')}
    wrong, right = model.execute([InferenceRequest(inputs, ALL), request("c")])
    assert "must have equal parameters_json" in wrong.refusal.message
    assert wrong.refusal.code == TritonError.INVALID_ARG
    assert echoes(right) == ["c"]


def test_a_crash_in_predict_is_that_requests_alone(model: Speller) -> None:
    responses = model.execute(
        [request("a"), request("x", "boom"), request("b"), request("c", parameters='{"times":2}')]
    )
    assert [echoes(responses[index]) for index in (0, 2, 3)] == [["a"], ["b"], ["c"]]
    assert responses[1].refusal.message == "the model failed: RuntimeError: no idea"
    assert responses[1].refusal.code == TritonError.INTERNAL
    assert len(Logger.errors) == 1
    assert "Traceback" in Logger.errors[0]


def test_an_error_that_repeats_a_long_text_is_cut(model: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(items: list[str], **_: Any) -> list[Answer]:
        raise InvalidInput(f"cannot read this: {items[0]}")

    monkeypatch.setattr(model, "predict", predict)
    for text in ("short", "\u00eb" * 5000, "\U0001f642" * 5000):
        (response,) = model.execute([request(text)])
        message = response.refusal.message
        assert message.startswith(f"cannot read this: {text[:5]}")
        assert (message == f"cannot read this: {text}") is (text == "short")
        assert len(urllib.parse.quote(message)) < 8000  # as gRPC writes it into a header, of which 8 KiB are taken


def test_a_wrong_number_of_answers_reaches_nobody(model: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "predict", lambda items, **_: [{"echo": "x", "letters": [1]}] * (len(items) + 1))
    for response in model.execute([request("a"), request("b")]):
        assert "RuntimeError: predict gave 2 answers for 1 rows" in response.refusal.message


def test_an_answer_that_cannot_be_packed_is_that_requests_alone(model: Speller) -> None:
    def predict(items: list[str], **_: Any) -> list[Answer]:
        return [{"echo": item, "letters": [1]} if item == "a" else {"echo": item} for item in items]

    model.predict = predict  # type: ignore[method-assign]
    right, wrong = model.execute([request("a"), request("b")])
    assert echoes(right) == ["a"]
    assert "KeyError" in wrong.refusal.message


def test_a_batch_of_none_is_answered_with_none(model: Speller) -> None:
    assert model.execute([]) == []


@pytest.mark.parametrize(
    ("item", "length"), [("abc", 3), (b"ab", 2), (["a", "b"], 2), (7, 0)], ids=["text", "bytes", "list", "other"]
)
def test_the_length_of_an_item(model: Speller, item: Any, length: int) -> None:
    assert model.length(item) == length


def test_load_and_read_must_be_written() -> None:
    with pytest.raises(NotImplementedError):
        Model[str]().load()
    with pytest.raises(NotImplementedError):
        Model[str]().read(Row({}, 1))


def test_who_has_left_the_queue_of_a_slow_model_is_not_answered(
    model: Speller, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 20.0, 20.0, 30.0, 30.0])
    monkeypatch.setattr("hf_runtime.model.time.monotonic", lambda: next(clock))
    gone = [dataclasses.replace(request("gone"), cancelled=True)]
    (first,) = model.execute(gone)  # nothing was slow before, so nobody is asked
    assert first.error is None
    second, other = model.execute([*gone, request("here")])
    assert second.error.code == TritonError.CANCELLED
    assert other.error is None
    (third,) = model.execute(gone)
    assert third.error is None
    assert [items for items, _ in model.batches] == [["gone"], ["here"], ["gone"]]


def test_an_execution_that_nobody_waits_for_ends(model: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[list[str]] = []
    clock = itertools.count()

    def predict(items: list[str], **_: Any) -> list[Answer]:
        for _step in range(3):
            WAITING.check()
            steps.append(items)
        return [{"echo": item, "letters": [1]} for item in items]

    monkeypatch.setattr(model, "predict", predict)
    monkeypatch.setattr("hf_runtime.waiting.time.monotonic", lambda: next(clock))
    gone = [dataclasses.replace(request(text), cancelled=True) for text in ("a", "b")]
    for response in model.execute(gone):
        assert response.refusal.code == TritonError.CANCELLED
    assert steps == [["a", "b"]]  # and not once more for each of them
    assert Logger.errors == []
    steps.clear()
    model._took = 0.0  # else who had left would not be begun with
    first, second = model.execute([gone[0], request("c")])
    assert (echoes(first), echoes(second)) == (["a"], ["c"])
    assert steps == [["a", "c"]] * 3
    WAITING.check()  # nothing is computed


def test_those_who_wait_are_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    clock = 0.0
    monkeypatch.setattr("hf_runtime.waiting.time.monotonic", lambda: clock)
    with WAITING.of([lambda: bool(looks.append(clock))]):
        for step in range(101):
            clock = step / 100
            WAITING.check()
    assert looks == [0.25, 0.5, 0.75, 1.0]


def repeating(items: list[str], **_: Any) -> list[Answer]:
    """Raises what it was given, as a handler may: in the text of an exception, of its cause, and in a note."""
    try:
        return [{}[items[0]]]
    except KeyError as error:
        again = ValueError(f"cannot take {items}")
        again.add_note(items[0])
        raise again from error


def test_what_failed_is_logged_without_what_was_sent(model: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "predict", repeating)
    (response,) = model.execute([request("a secret of mine")])
    assert response.refusal.message == "the model failed: ValueError: cannot take ['a secret of mine']"  # to its caller
    (logged,) = Logger.errors
    assert "secret" not in logged
    assert "in repeating" in logged
    assert "return [{}[items[0]]]" in logged  # the code, not what it was called with
    assert "\nKeyError\nThen:\nTraceback" in logged
    assert logged.endswith("\nValueError")


def test_what_failed_is_logged_as_a_whole_where_that_is_wanted(model: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB2TRITON_LOG_ERROR_TEXTS", "1")
    monkeypatch.setattr(model, "predict", repeating)
    model.execute([request("a text of mine")])
    assert Logger.errors[0].count("a text of mine") == 3

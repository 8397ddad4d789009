from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.clock import now, timeless

from hub2triton import tasks
from hub2triton.shim import catalogue
from hub2triton.shim.catalogue import Catalogue, Wanted, first_line
from hub2triton.shim.failure import ModelFailed, NotReady, Unknown
from hub2triton.shim.model import GIVEN_UP, Model, State

if TYPE_CHECKING:
    from collections.abc import Mapping

A = Model("a", State.READY, model_id="acme/a")
B = Model("b", State.READY, model_id="acme/b")
LOADING = Model("b", State.LOADING)
FAILED = Model("b", State.FAILED, "Internal: ValueError: no such dtype\n  at model.py(12)")


@dataclass
class StandIn:
    """A Triton that serves these models, one tuple for each time it is asked; the last one from then on.

    An empty place in the list is a Triton that does not answer.
    """

    answers: list[tuple[Model, ...] | None]
    known: list[Mapping[str, Model]] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)

    async def models(self, known: Mapping[str, Model], *, fresh: bool) -> dict[str, Model]:
        self.known.append(known)
        self.fresh.append(fresh)
        await asyncio.sleep(0.005)
        models = self.answers[min(len(self.known), len(self.answers)) - 1]
        if models is None:
            raise NotReady("Triton does not answer")
        return {model.name: model for model in models}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "time", SimpleNamespace(monotonic=now))


def catalogue_of(*answers: tuple[Model, ...] | None) -> tuple[Catalogue, StandIn]:
    triton = StandIn(list(answers))
    return Catalogue(triton), triton  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["b", "acme/b"])
@timeless
async def test_a_model_is_found_by_its_name_and_by_its_id(name: str) -> None:
    models, _ = catalogue_of((A, B))
    assert await models.ready(Wanted(name)) is B


@timeless
async def test_the_only_model_needs_no_name() -> None:
    models, _ = catalogue_of((A,))
    assert await models.ready(Wanted()) is A


@timeless
async def test_several_models_need_a_name() -> None:
    models, _ = catalogue_of((B, A))
    with pytest.raises(Unknown, match="POST /models/NAME with one of a, b") as caught:
        await models.ready(Wanted())
    assert caught.value.status == 400


@timeless
async def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    models, _ = catalogue_of((B, A))
    with pytest.raises(Unknown, match="there is no model 'c'; the models are: a, b") as caught:
        await models.ready(Wanted("c"))
    assert caught.value.status == 404


@pytest.mark.parametrize("before", [(LOADING,), (A, LOADING), (), None], ids=["alone", "beside", "none", "down"])
@timeless
async def test_a_request_waits_for_a_model_that_is_being_loaded(before: tuple[Model, ...] | None) -> None:
    models, triton = catalogue_of(before, before, (A, B))
    assert await models.ready(Wanted("b")) is B
    assert len(triton.known) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [((A, LOADING), "the model 'b' is being loaded"), ((), "no model is loaded yet"), (None, "Triton does not answer")],
)
@timeless
async def test_the_wait_ends_with_a_refusal(answer: tuple[Model, ...] | None, words: str) -> None:
    models, _ = catalogue_of(answer)
    began = now()
    with pytest.raises(NotReady, match=words):
        await models.ready(Wanted("b"))
    assert catalogue.HOLD_S <= now() - began < catalogue.HOLD_S + 2 * catalogue.POLL_S


@timeless
async def test_a_model_that_failed_is_refused_at_once_with_its_reason() -> None:
    models, triton = catalogue_of((A, FAILED))
    with pytest.raises(ModelFailed, match=r"the model 'b' could not be loaded: ValueError: no such dtype$"):
        await models.ready(Wanted("b"))
    assert len(triton.known) == 1


async def test_all_who_wait_for_a_triton_that_does_not_answer_are_told_at_once() -> None:
    models, triton = catalogue_of(None, (A,))
    told = await asyncio.gather(*(models.models() for _ in range(20)), return_exceptions=True)
    assert [str(refusal) for refusal in told] == ["Triton does not answer"] * 20
    assert len(triton.known) == 1
    assert (await models.models()).keys() == {"a"}


@timeless
async def test_what_triton_said_is_believed_for_a_while() -> None:
    models, triton = catalogue_of((A,), (A, B))
    assert (await models.models()).keys() == {"a"}
    assert (await models.models()).keys() == {"a"}
    await asyncio.sleep(0.9 * catalogue.FRESH_S)
    assert (await models.models()).keys() == {"a"}
    assert len(triton.known) == 1
    await asyncio.sleep(catalogue.OLD * catalogue.FRESH_S)
    assert (await models.models()).keys() == {"a", "b"}


@timeless
async def test_nobody_waits_for_what_is_only_a_little_old() -> None:
    models, triton = catalogue_of((A,), (A, B), None)
    await models.models()
    for later in ({"a"}, {"a", "b"}):
        await asyncio.sleep(1.5 * catalogue.FRESH_S)
        asked = len(triton.known)
        assert all([(await models.models()).keys() == later for _ in range(3)])
        assert len(triton.known) == asked  # it is asked behind their backs, and once
    await asyncio.sleep(1.5 * catalogue.FRESH_S)
    with pytest.raises(NotReady):  # it did not answer behind their backs, so they wait for it again
        await models.models()
    assert len(triton.known) == 4


@timeless
async def test_triton_is_told_what_is_known_and_whether_it_must_be_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FRESH_S", 0.0)
    models, triton = catalogue_of((A,))
    await models.models()
    await models.models()
    await models.models(fresh=True)
    assert triton.known == [{}, {"a": A}, {"a": A}]
    assert triton.fresh == [False, False, True]


@timeless
async def test_many_requests_at_once_ask_triton_once() -> None:
    models, triton = catalogue_of((A,))
    found = await asyncio.gather(*(models.ready(Wanted()) for _ in range(50)))
    assert found == [A] * 50
    assert len(triton.known) == 1


@timeless
async def test_a_triton_that_is_down_is_asked_again() -> None:
    models, _ = catalogue_of(None, (A,))
    with pytest.raises(NotReady):
        await models.models()
    assert (await models.models()).keys() == {"a"}


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("Internal: ValueError: x\n\nAt:\n", "ValueError: x"),
        ("\n  \nwhy", "why"),
        ("", "no reason given"),
        (f"Invalid argument: unable to find backend library for backend '{GIVEN_UP}', try specifying", GIVEN_UP),
    ],
)
def test_the_first_line_of_a_reason(reason: str, line: str) -> None:
    assert first_line(reason) == line


RECOVERING = replace(A, state=State.RECOVERING)


@timeless
async def test_a_model_that_just_died_is_waited_for() -> None:
    models, triton = catalogue_of((A,), (RECOVERING,), None, (RECOVERING,), (A,))
    assert await models.again(A) is A
    assert len(triton.known) == 5  # listed as ready before anybody had noticed


@timeless
async def test_a_model_that_was_back_before_one_could_look() -> None:
    models, _ = catalogue_of((A,))
    began = now()
    assert await models.again(A) is A
    assert catalogue.NOTICED_S <= now() - began < catalogue.HOLD_S


@timeless
async def test_a_model_that_does_not_come_back_in_time() -> None:
    models, _ = catalogue_of((A,), (RECOVERING,))
    assert await models.again(A) is None


@timeless
async def test_what_was_served_by_a_triton_that_is_gone() -> None:
    known = replace(A, spec=tasks.SPECS[0])
    models, _ = catalogue_of((known, LOADING))
    await models.models()
    assert {name: model.state for name, model in models.lost().items()} == {
        "a": State.RECOVERING,
        "b": State.LOADING,
    }

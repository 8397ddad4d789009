"""The measuring code that says what holds: planted faults are found, and a good run has none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks import bad_inputs, overload, soak, watch
from benchmarks.callers import LOST, Outcome, Request
from benchmarks.serving import until
from benchmarks.tally import Tally, echo
from benchmarks.verdict import quantile, verdicts, windowed
from benchmarks.watch import Sample, slope

AGAIN = b"http/1.1 503\r\nretry-after: 1\r\n\r\n"


def outcome(body: object, status: int = 200, request: Request | None = None, **more: Any) -> Outcome:
    packed = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"headers": b"http/1.1\r\n\r\n", "sent": 1.0, "ended": 1.5, **more}
    return Outcome(request or echo("a"), status, body=packed, **given)


# ---- the verdicts of a soak


def sample(at: float, **more: Any) -> Sample:
    return replace(Sample(at, {"shim": 100.0, "model": 900.0}, 1200.0, 252, 220, 28.0), **more)


def run(**more: Any) -> dict[str, Any]:
    """A run of ten minutes in which nothing changes."""
    found = {
        "samples": [asdict(sample(at)) for at in range(0, 600, 5)],
        "windows": [{"at": at, "rate": 60.0, "p50_ms": 400.0, "p99_ms": 1300.0} for at in range(0, 600, 5)],
        "wrong": [],
        "compared_every": 20,
        "warm_up_s": 150.0,
    }
    return found | more


def broken(found: dict[str, Any]) -> list[str]:
    return [each.text for each in verdicts(found) if not each.holds]


def test_a_run_in_which_nothing_changes_holds() -> None:
    assert broken(run()) == []
    assert len(verdicts(run())) == 7


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        (lambda at: {"pss_mib": {"shim": 100.0, "model": 900.0 + at / 10}}, "memory (PSS) grows by less than 2%"),
        (lambda at: {"descriptors": 252 + int(at / 200)}, "no more open descriptors"),
        (lambda at: {"threads": 220 + int(at / 200)}, "no more threads"),
        (lambda at: {"shared_mib": 28.0 + at / 100}, "no more MiB in /dev/shm"),
    ],
    ids=["memory", "descriptors", "threads", "shared memory"],
)
def test_what_grows_is_found(planted: Callable[[float], dict[str, Any]], text: str) -> None:
    assert broken(run(samples=[asdict(sample(at, **planted(at))) for at in range(0, 600, 5)])) == [text]


def test_what_grows_while_it_warms_up_is_let_pass() -> None:
    early = [asdict(sample(at, pss_mib={"model": min(at, 150.0) * 10})) for at in range(0, 600, 5)]
    assert broken(run(samples=early)) == []
    assert len(broken(run(samples=early, warm_up_s=0.0))) == 1


def test_what_slows_down_is_found() -> None:
    slower = [{"at": at, "rate": 60.0, "p50_ms": 400.0, "p99_ms": 1000.0 + 2 * at} for at in range(0, 600, 5)]
    assert broken(run(windows=slower)) == ["p99 at most 1.25 times"]
    fewer = [{"at": at, "rate": 90.0 - at / 10, "p50_ms": 400.0, "p99_ms": 1300.0} for at in range(0, 600, 5)]
    assert broken(run(windows=fewer)) == ["as many answers"]


def test_a_wrong_answer_in_a_soak_is_found() -> None:
    assert broken(run(wrong=["500: b''"])) == ["every answer a 200, and each 20th, which is compared, right"]
    requests = [Request("/", b"0"), Request("/", b"1")]
    answers = soak.Answers(requests, right=[{"embeddings": [0.5, 0.25]}, [{"label": "a", "score": 1}]])
    for _ in range(2 * soak.CHECK_EVERY):
        answers.seen(outcome({"embeddings": [0.51, 0.25]}, request=requests[0]))
    assert answers.wrong == []
    answers.seen(outcome({"error": "x"}, 503, request=requests[0]))
    assert len(answers.wrong) == 1
    for _ in range(soak.CHECK_EVERY):  # another request's
        answers.seen(outcome({"embeddings": [0.5, 0.25]}, request=requests[1]))
    assert len(answers.wrong) == 2


@pytest.mark.parametrize("found", [[0.5], [0.5, 0.3], [0.5, "0.25"], {"a": 0.5}, None, [[0.5, 0.25]]], ids=json.dumps)
def test_what_is_not_close_is_another_answer(found: object) -> None:
    assert soak.close([0.51, 0.24], [0.5, 0.25])
    assert not soak.close(found, [0.5, 0.25])


def test_windows_and_quantiles() -> None:
    times = [(0.5, 0.1), (1.5, 0.3), (1.6, 0.5), (9.9, 1.0)]
    found = windowed(times, every_s=1.0, whole_s=3.0)
    assert [each["rate"] for each in found] == [1.0, 2.0, 0.0]  # what comes after the end does not count
    assert [each["p99_ms"] for each in found] == [100.0, 500.0, 0.0]
    assert quantile(list(range(1, 101)), 0.99) == 100
    assert quantile(list(range(1, 1001)), 0.99) == 991
    assert quantile([], 0.5) == 0


def test_the_slope_is_by_the_hour() -> None:
    assert slope([sample(at, pss_mib={"model": at / 36}) for at in range(0, 600, 5)]) == pytest.approx(100)
    assert slope([sample(0)]) == 0


# ---- the tally of faults


def test_a_tally_knows_right_answers_refusals_losses_and_wrong_answers() -> None:
    tally = Tally()
    tally.seen(outcome({"inputs": "a"}))
    assert tally.seen(outcome({"error": "later"}, 503, headers=AGAIN)) is not None
    tally.seen(outcome({"error": "full"}, 429, headers=AGAIN))
    tally.seen(outcome(b"", LOST, sent=7.0))
    assert (tally.requests, tally.right, tally.wrong) == (4, 1, 0)
    assert (tally.refused[503], tally.refused[429], tally.lost) == (1, 1, [7.0])
    assert tally.longest == 0.5


@pytest.mark.parametrize(
    "planted",
    [
        outcome({"inputs": "b"}),  # what another caller asked for
        outcome({"error": "failed"}, 500, headers=AGAIN),
        outcome({"error": "later"}, 503),  # no Retry-After
        outcome({"error": ""}, 503, headers=AGAIN),
        outcome({"inputs": "a"}, 206),
        outcome(b"{", 200),
        outcome(b"", 503, headers=AGAIN),
        outcome(["a"], 503, headers=AGAIN),
    ],
    ids=["another's", "500", "no time", "no reason", "status", "half", "nothing", "no object"],
)
def test_a_wrong_answer_is_tallied_and_kept(planted: Outcome) -> None:
    tally = Tally()
    tally.seen(planted)
    assert (tally.wrong, tally.right, sum(tally.refused.values()), len(tally.examples)) == (1, 0, 0, 1)


async def test_a_recovery_ends_with_an_answer_to_what_was_sent_after_the_fault() -> None:
    tally = Tally()
    tally.fault()
    fault = tally._fault
    recovering = asyncio.create_task(tally.recovery())
    tally.seen(outcome({"inputs": "a"}, sent=fault - 1, ended=fault + 1))  # was under way
    tally.seen(outcome({"error": "later"}, 503, headers=AGAIN, sent=fault + 1, ended=fault + 2))
    await asyncio.sleep(0.02)
    assert not recovering.done()
    tally.seen(outcome({"inputs": "a"}, sent=fault + 2, ended=fault + 3))
    tally.seen(outcome({"inputs": "a"}, sent=fault + 3, ended=fault + 9))
    assert await recovering == pytest.approx(3)


# ---- the watch


class Family:
    """Stands for a serve-repo of one process."""

    def __init__(self, *processes: psutil.Process) -> None:
        self.processes = list(processes)

    def family(self) -> list[psutil.Process]:
        return self.processes


HOLDER = """
import sys, threading
held = [bytearray(b"x" * (40 << 20)), [open("/dev/null") for _ in range(30)]]
for _ in range(5):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def started() -> Iterator[Callable[[str], psutil.Process]]:
    processes = []

    def start(program: str) -> psutil.Process:
        command = [sys.executable, "-c", program, "hub2triton.shim"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return psutil.Process(process.pid)

    yield start
    for process in processes:
        process.communicate()


def test_a_watch_sees_memory_descriptors_threads_and_shared_memory(
    started: Callable[[str], psutil.Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SHARED_MEMORY", tmp_path)
    idle = started("import sys\nprint('ready', flush=True)\nsys.stdin.read()")
    (tmp_path / "others").write_bytes(b"x" * (1 << 20))
    before = watch.take(Family(idle))  # type: ignore[arg-type]
    (tmp_path / f"{watch.REGION}a").write_bytes(b"x" * (3 << 20))
    after = watch.take(Family(idle, started(HOLDER)), 5.0)  # type: ignore[arg-type]
    assert before.pss_mib.keys() == after.pss_mib.keys() == {"shim"}
    assert after.memory_mib - before.memory_mib > 40
    assert after.rss_mib - before.rss_mib > 40
    assert after.descriptors - before.descriptors >= 30
    assert after.threads - before.threads == 6
    assert (before.shared_mib, after.shared_mib, after.at) == (0, pytest.approx(3, abs=0.1), 5.0)


async def test_a_watch_goes_on_where_a_process_has_ended(started: Callable[[str], psutil.Process]) -> None:
    gone = started("print('ready', flush=True)")
    gone.wait(30)
    async with watch.Watch(Family(gone), 0.01).running() as watching:  # type: ignore[arg-type]
        await until("three samples", lambda: len(watching.samples) >= 3)
    assert [each.memory_mib for each in watching.samples[:3]] == [0, 0, 0]


# ---- overload


def phase(**more: Any) -> overload.Found:
    asked = overload.Phase("a phase", 512, 60.0)
    statuses, health = {200: 100, 429: 900}, {"200": 3}
    usual = overload.Found(asked, statuses, 10.0, 50.0, health, [1.0, 2.0, 99.0], 400.0, 166, 90)
    return replace(usual, **more)


def test_an_overload_as_it_should_be_has_no_faults() -> None:
    assert overload.faults([phase(), phase(descriptors=300), phase()]) == []


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ({"statuses": {200: 100, 503: 1}}, "statuses other than 200 and 429"),
        ({"statuses": {200: 100, LOST: 1}}, "statuses other than 200 and 429"),
        ({"health": {"200": 3, "503": 1}}, "the health was told as"),
        ({"health": {}, "health_ms": []}, "the health was told as"),
        ({"health_ms": [1.0, 100.0]}, "the health took 100 ms once"),
        ({"descriptors": 167}, "167 descriptors are open afterwards, 166 were before"),
    ],
    ids=["503", "lost", "unready", "never told", "late", "descriptors"],
)
def test_what_goes_wrong_in_an_overload_is_found(planted: dict[str, Any], words: str) -> None:
    (found,) = overload.faults([phase(), phase(**planted)])
    assert words in found
    assert f"Not as it should be: {found}" in overload.markdown([phase(), phase(**planted)], 64)


# ---- wrong requests


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (outcome(b"", LOST), "no answer within"),
        (outcome({"error": "failed"}, 500), "500"),
        (outcome({"error": "later"}, 503), "503"),
        (outcome(b"no JSON", 400), "400 without a reason"),
        (outcome({"detail": "x"}, 422), "422 without a reason"),
        (outcome({"error": ""}, 400), "400 with no sentence"),
        (outcome({"error": "Traceback (most recent call last)"}, 400), "400 with no sentence"),
        (outcome({"error": {"message": "Traceback"}}, 400), "400 with no sentence"),
    ],
)
def test_a_wrong_answer_to_a_wrong_request_is_found(planted: Outcome, words: str) -> None:
    assert bad_inputs.wrong(planted).startswith(words)


def test_refusals_and_answers_to_wrong_requests_are_right() -> None:
    assert bad_inputs.wrong(outcome({"error": "send a text"}, 400)) == ""
    assert bad_inputs.wrong(outcome({"error": {"message": "send a text"}}, 404)) == ""
    assert bad_inputs.wrong(outcome([1])) == ""


class Served:
    """Stands for a serve-repo whose models' processes have these numbers."""

    port = 1

    def __init__(self) -> None:
        self.pids = [1, 2]

    def processes(self, _mark: str) -> list[Any]:
        return [type("Process", (), {"pid": pid}) for pid in self.pids]


def look(found: bad_inputs.Run, planted: Outcome, times: int = 1) -> None:
    for _ in range(times):
        found._look("/", planted)


def test_only_refused_requests_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = bad_inputs.Run(Served())  # type: ignore[arg-type]
    look(found, outcome({"error": "send a text"}, 400), 3)
    look(found, outcome([1]), 2)
    look(found, outcome({"error": "failed"}, 500))
    assert (found.sent, found.refused, len(found.wrong)) == (6, 3, 1)
    assert not found.hopeless
    (kept,) = tmp_path.glob("bad-input-*.json")
    assert bad_inputs.read(kept) == echo("a")
    look(found, outcome({"error": "failed"}, 500), bad_inputs.MOST_WRONG)
    assert found.hopeless


def test_a_process_that_has_died_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served = Served()
    found = bad_inputs.Run(served)  # type: ignore[arg-type]
    served.pids[0] = 3  # another in its place
    look(found, outcome({"error": "send a text"}, 400), bad_inputs.LOOK_EVERY)
    assert found.hopeless
    assert "a model's process has died" in found.wrong[0]

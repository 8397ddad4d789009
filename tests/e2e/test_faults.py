"""Processes that die, hang and grow under load: nobody gets a wrong answer, and nobody is left without one."""

from __future__ import annotations

import compileall
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from benchmarks.serving import set_parameter
from tests.e2e import service
from tests.e2e.service import Service

from hub2triton.shim.catalogue import HOLD_S

pytestmark = pytest.mark.e2e

PATIENCE_S = 120.0
MODEL = "faults"


@pytest.fixture(scope="module")
def repository(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("faults") / "model_repository"
    service.generate(tiny(MODEL), "custom", MODEL, output)
    return output


@contextmanager
def serving(repository: Path, *flags: str) -> Iterator[Service]:
    yield from service.start([str(service.BIN / "serve-repo"), str(repository), *flags])


def wait_for(what: str, check: Callable[[], bool], served: Service) -> None:
    until = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE_S:.0f} s\n{served.output}"
        time.sleep(0.02)


def ask(served: Service, inputs: str) -> httpx.Response:
    return httpx.post(served.url, json={"inputs": inputs}, timeout=PATIENCE_S)


def right(response: httpx.Response, inputs: str) -> bool:
    return response.status_code == 200 and response.json() == {"inputs": inputs}


def states(served: Service) -> tuple[int, dict[str, object]]:
    response = httpx.get(f"{served.url}/health", headers={"accept": "application/json"}, timeout=PATIENCE_S)
    return response.status_code, response.json()


@dataclass
class Load:
    """Clients that ask one thing after the other, each its own, and hold every answer against it.

    Attributes:
        statuses: How many answers of each status came; 0 for a connection that was refused or broken.
        begun: When each request that was broken off had begun.
        wrong: Answers that were not what had been asked, and refusals without a reason.
    """

    served: Service
    prefix: str = "echo"
    statuses: dict[int, int] = field(default_factory=dict)
    begun: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def __call__(self, clients: int) -> Iterator[Load]:
        stop = threading.Event()
        threads = [threading.Thread(target=self._client, args=(number, stop)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)

    def more(self, count: int = 50) -> None:
        """Waits for so many further answers."""
        target = self.answered + count
        wait_for(f"{target} answers", lambda: self.answered >= target, self.served)

    def _client(self, number: int, stop: threading.Event) -> None:
        turn = 0
        with httpx.Client(timeout=PATIENCE_S) as session:
            while not stop.is_set():
                turn += 1
                inputs = f"{self.prefix} {number} {turn}"
                began = time.monotonic()
                try:
                    response = session.post(self.served.url, json={"inputs": inputs})
                except httpx.HTTPError:
                    self.statuses[0] = self.statuses.get(0, 0) + 1
                    self.begun.append(began)
                    time.sleep(0.05)
                    continue
                self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
                refused = response.status_code in (429, 503) and response.json()["error"]
                if not right(response, inputs) and not (refused and response.headers["retry-after"]):
                    self.wrong.append(f"{inputs}: {response.status_code} {response.text}")


def test_killed_model_processes(repository: Path) -> None:
    with serving(repository) as served, Load(served)(16) as load:
        for times in range(2, 6):
            load.more()
            (process,) = served.model_processes(MODEL)
            process.kill()
            wait_for("repaired", lambda times=times: served.output.count("ready   faults in") == times, served)
        load.more()
    assert not load.wrong
    assert load.statuses.keys() <= {200, 429, 503}
    assert served.output.count("died    faults: its process") == 4


def test_a_request_in_flight_is_asked_again_of_the_process_that_follows(repository: Path) -> None:
    answers: list[httpx.Response] = []
    with serving(repository) as served:
        (process,) = served.model_processes(MODEL)
        asking = threading.Thread(target=lambda: answers.append(ask(served, "sleep 1")))
        asking.start()
        wait_for("begun", lambda: _executing(served), served)
        killed = time.monotonic()
        process.kill()
        asking.join()
        held = time.monotonic() - killed
        wait_for("repaired", lambda: served.output.count("ready   faults in") == 2, served)
        # Loading this model takes a third of the time that a request is held; on a busy machine it may take more.
        if answers[0].status_code == 503:
            assert held > HOLD_S, served.output
            assert served.load_seconds(MODEL) > 0.3, served.output
        else:
            assert right(answers[0], "sleep 1")
        assert served.output.count("died    faults") == 1


def test_what_waits_behind_a_death_is_answered_at_once(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = service.generate(tiny(MODEL), "custom", MODEL, tmp_path / "repository")
    set_parameter(folder, "max_queue_size", "64")
    answers: dict[str, httpx.Response] = {}
    with serving(tmp_path / "repository") as served:

        def put(inputs: str) -> None:
            answers[inputs] = ask(served, inputs)

        asking = [threading.Thread(target=put, args=(inputs,)) for inputs in ["sleep 3", *map(str, range(40))]]
        (process,) = served.model_processes(MODEL)
        asking[0].start()
        wait_for("begun", lambda: _executing(served), served)
        for thread in asking[1:]:
            thread.start()
        wait_for("all are under way", lambda: _under_way(served) == len(asking), served)
        process.kill()
        wait_for("repaired", lambda: served.output.count("ready   faults in") == 2, served)
        repaired = time.monotonic()
        for thread in asking:
            thread.join()
        assert time.monotonic() - repaired < 20  # Triton by itself gives one of them up in a second
    refused = [answer for inputs, answer in answers.items() if not right(answer, inputs)]
    assert all(answer.status_code == 503 and answer.headers["retry-after"] for answer in refused)
    # As above: this load may have taken longer than requests are held.
    assert not refused or served.load_seconds(MODEL) > 0.3, served.output


@pytest.mark.parametrize("way", ["deadlock", "spin", "sleep 100000"])
def test_a_hanging_model_is_replaced_and_a_slow_one_is_not(way: str, repository: Path) -> None:
    with serving(repository, "--hang-timeout", "2") as served:
        # One execution each, and all of them together longer than the limit; the queue is never empty.
        slow = [threading.Thread(target=lambda: replies.append(ask(served, "sleep 0.8"))) for _ in range(5)]
        replies: list[httpx.Response] = []
        for thread in slow:
            thread.start()
        for thread in slow:
            thread.join()
        assert [right(reply, "sleep 0.8") for reply in replies] == [True] * 5
        assert "hung" not in served.output
        # Nobody else asks meanwhile: a queue that grows is not what gives it away.
        hung = ask(served, way)
        assert hung.status_code == 503
        assert hung.headers["retry-after"]
        assert "hung    faults: its process" in served.output
        wait_for("served again", lambda: right(ask(served, "a"), "a"), served)


def test_one_of_two_instances_hangs(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    service.generate(tiny(MODEL), "custom", MODEL, tmp_path / "repository", "--instances", "2")
    with serving(tmp_path / "repository", "--hang-timeout", "2") as served, Load(served)(2) as load:
        assert len(served.model_processes(MODEL)) == 2
        assert ask(served, "deadlock").status_code == 503
        load.more()
    assert "hung    faults: its process" in served.output
    assert not load.wrong


def test_a_growing_model_is_replaced_without_a_gap(repository: Path) -> None:
    # As after any run before: what the first one leaves beside model.py looks to Triton like a model that has changed.
    assert compileall.compile_dir(repository, quiet=1)
    with serving(repository, "--model-memory", "300") as served, Load(served)(4) as load:
        (before,) = served.model_processes(MODEL)
        for _ in range(4):
            assert right(ask(served, "leak 100"), "leak 100")
        wait_for("replaced", lambda: served.output.count("ready   faults in") == 2, served)
        wait_for("the old process ended", lambda: before not in served.model_processes(MODEL), served)
        load.more()
    assert "MiB, more than 300 (--model-memory); replacing it" in served.output
    assert "died" not in served.output
    assert not load.wrong
    assert load.statuses.keys() == {200}


def test_a_limit_below_what_a_model_needs_is_told(repository: Path) -> None:
    with serving(repository, "--model-memory", "1") as served:
        wait_for("told", lambda: "raise --model-memory" in served.output, served)
        time.sleep(3)
        assert served.output.count("ready   faults in") == 1


def test_a_killed_tritonserver_is_started_again(repository: Path) -> None:
    with serving(repository) as served, Load(served)(16) as load:
        assert states(served) == (200, {"live": True, "ready": True, "models": {MODEL: "ready"}})
        load.more()
        # Nobody starts it again before it was looked: else it may be back by then.
        served.process.send_signal(signal.SIGSTOP)
        try:
            _tritonserver(served).kill()
            wait_for("the truth", lambda: states(served)[0] == 503, served)
            told = states(served)[1]
            assert told["error"]
            assert not told["ready"]
            assert told["models"] == {MODEL: "recovering"}
        finally:
            served.process.send_signal(signal.SIGCONT)
        wait_for("restarted", lambda: served.output.count("ready   faults in") == 2, served)
        load.more()
        assert states(served)[0] == 200
    assert "died    tritonserver was killed by SIGKILL; starting it again at once" in served.output
    assert not load.wrong
    assert load.statuses.keys() <= {200, 429, 503}


def test_a_tritonserver_that_stopped_is_not_waited_for(repository: Path) -> None:
    with serving(repository) as served:
        assert right(ask(served, "a"), "a")
        stopped = _tritonserver(served)
        stopped.suspend()
        try:
            wait_for("unready", lambda: _status(served) == 503, served)
            code, told = states(served)
            assert (code, told["live"], told["models"]) == (503, False, {MODEL: "recovering"})
            refused = ask(served, "a")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        finally:
            stopped.resume()
        wait_for("ready", lambda: _status(served) == 200, served)
        assert right(ask(served, "a"), "a")
        assert "died" not in served.output


def test_a_tritonserver_that_dies_again_and_again_is_given_up(repository: Path) -> None:
    with serving(repository, "--max-restarts", "1") as served:
        for times in (1, 2):
            wait_for("ready", lambda times=times: served.output.count("ready   faults in") == times, served)
            _tritonserver(served).kill()
        assert served.process.wait(PATIENCE_S) == 6
        wait_for("the end of its output", lambda: "Its last lines:" in served.output, served)
        assert "was killed by SIGKILL, started again 1 times within 10 minutes" in served.output


def test_a_model_that_dies_again_and_again_is_given_up(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    for name in (MODEL, "other"):
        service.generate(tiny(MODEL), "custom", name, tmp_path / "repository")
    with serving(tmp_path / "repository", "--max-model-restarts", "1") as served:
        kills = 0

        def given_up() -> bool:
            nonlocal kills
            if served.output.count("ready   faults in") > kills:  # at once, so that it has not served for 5 s
                kills += 1
                for process in served.model_processes(MODEL):
                    process.kill()
            return "given up" in served.output

        wait_for("given up", given_up, served)
        url = f"{served.url}/models"
        wait_for("failed", lambda: states(served)[1]["models"] == {MODEL: "failed", "other": "ready"}, served)
        assert states(served)[0] == 200
        refused = httpx.post(f"{url}/{MODEL}", json={"inputs": "a"}, timeout=PATIENCE_S)
        assert refused.status_code == 500
        assert "its process died again and again" in refused.json()["error"]
        assert str(tmp_path) not in refused.json()["error"]
        assert right(httpx.post(f"{url}/other", json={"inputs": "a"}, timeout=PATIENCE_S), "a")
        assert served.output.count("given up") == 1
        # Whoever loads it by hand has it back, and watched.
        with closing(triton.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")) as client:
            client.load_model(MODEL)
        wait_for("back", lambda: states(served)[1]["models"] == {MODEL: "ready", "other": "ready"}, served)


def test_serve_repo_ends_with_its_only_model(repository: Path) -> None:
    with serving(repository, "--max-model-restarts", "0") as served:
        (process,) = served.model_processes(MODEL)
        process.kill()
        assert served.process.wait(PATIENCE_S) == 6
        wait_for("the end of its output", lambda: "No model is left to serve" in served.output, served)
        assert "failed  faults: given up (--max-model-restarts): its process has died" in served.output


def test_a_stop_under_load(repository: Path) -> None:
    with serving(repository) as served, Load(served, "sleep 0.3")(8) as load:
        load.more(4)
        stopped = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        wait_for("unready", lambda: _status(served) != 200, served)
        assert served.process.wait(PATIENCE_S) == 0, served.output
    assert not load.wrong
    # Those that came before the signal were answered, whatever they met; later ones could find the port closed.
    assert [began for began in load.begun if began < stopped] == []


def test_readiness_goes_first_and_a_second_signal_ends_it(repository: Path) -> None:
    with serving(repository) as served:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(ask(served, "sleep 3")))
        asking.start()
        wait_for("begun", lambda: _executing(served), served)
        served.process.send_signal(signal.SIGTERM)
        wait_for("unready", lambda: _status(served) == 503, served)
        assert not answers
        refused = ask(served, "a")
        assert (refused.status_code, refused.json()["error"]) == (503, "the server is stopping")
        asking.join()
        assert right(answers[0], "sleep 3")
        assert served.process.wait(PATIENCE_S) == 0
    with serving(repository) as served:
        hanging = threading.Thread(target=_ask_in_vain, args=(served, "sleep 100000"))
        hanging.start()
        wait_for("begun", lambda: _executing(served), served)
        served.process.send_signal(signal.SIGTERM)
        wait_for("unready", lambda: _status(served) == 503, served)
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(15)  # less than it would wait for what is in flight
        hanging.join()


def test_a_native_request_in_flight_is_answered_too(repository: Path) -> None:
    with serving(repository, "--no-shim") as served:
        answers: list[bytes] = []
        asking = threading.Thread(target=lambda: answers.append(_infer(served, "sleep 4")))
        asking.start()
        wait_for("begun", lambda: _executing(served), served)
        served.process.send_signal(signal.SIGTERM)
        asking.join()
        assert [json.loads(answer) for answer in answers] == [{"inputs": "sleep 4"}]
        assert served.process.wait(PATIENCE_S) == 0


def _tritonserver(served: Service) -> psutil.Process:
    children = psutil.Process(served.process.pid).children()
    return next(child for child in children if child.name() == "tritonserver")


def _executing(served: Service) -> bool:
    """Whether the handler is asleep: its main thread waits for the clock."""
    (process,) = served.model_processes(MODEL)
    return "nanosleep" in Path(f"/proc/{process.pid}/wchan").read_text()


def _under_way(served: Service) -> float:
    """How many requests the model is asked now."""
    name = f'hub2triton_requests_in_flight{{model="{MODEL}"}}'
    page = httpx.get(f"{served.url}/metrics", timeout=PATIENCE_S).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in page if line.startswith(name)), 0.0)


def _status(served: Service) -> int:
    """The health; 0 where the port is closed."""
    try:
        return httpx.get(f"{served.url}/health", timeout=PATIENCE_S).status_code
    except httpx.HTTPError:
        return 0


def _ask_in_vain(served: Service, inputs: str) -> None:
    with suppress(httpx.HTTPError):
        assert ask(served, inputs).status_code == 503


def _infer(served: Service, inputs: str) -> bytes:
    client = triton.InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    tensors = []
    for name, value in (("request_json", json.dumps({"inputs": inputs})), ("body", ""), ("parameters_json", "{}")):
        tensor = triton.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value.encode()]], dtype=object))
        tensors.append(tensor)
    result = client.infer(MODEL, tensors)
    assert result is not None
    return bytes(result.as_numpy("response")[0, 0])

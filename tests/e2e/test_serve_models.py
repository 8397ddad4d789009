"""`serve-repo` on the real tritonserver, with small models that need nothing but numpy."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from hub2triton.serve.guard import SHARED_MEMORY

pytestmark = pytest.mark.e2e

CONFIG = """
backend: "python"
max_batch_size: 8
input [ { name: "text" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "echo" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: COUNT kind: KIND_CPU } ]
"""

MODEL = """
import os, time
import triton_python_backend_utils as pb_utils
TOP

class TritonPythonModel:
    def initialize(self, args):
        INITIALIZE
        pb_utils.Logger.log_info("hello from " + args["model_name"])

    def execute(self, requests):
        texts = [pb_utils.get_input_tensor_by_name(request, "text").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("echo", text)]) for text in texts]
"""

# Stops within this many seconds, by the promise of serve-repo. The machine of the tests may be busy: the seconds that
# serve-repo stood in line for a core do not count.
STOP = 5.0
# Seconds for what is not promised: the start of an interpreter, gRPC and tritonserver on a busy machine.
PATIENCE = 300.0


def write_model(repository: Path, name: str, top: str = "", initialize: str = "pass", count: int = 1) -> None:
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(CONFIG.replace("COUNT", str(count)))
    (folder / "model.py").write_text(MODEL.replace("TOP", top).replace("INITIALIZE", initialize))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]


def wait_for(what: str, check: Callable[[], object]) -> None:
    """Returns as soon as `check` holds."""
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE:
        if check():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {PATIENCE} s: {what}")


@dataclass(frozen=True)
class Ports:
    shim: int
    http: int
    grpc: int
    metrics: int

    @property
    def flags(self) -> list[str]:
        named = {
            "--port": self.shim,
            "--http-port": self.http,
            "--grpc-port": self.grpc,
            "--metrics-port": self.metrics,
        }
        return [f"{flag}={number}" for flag, number in named.items()]


class Served:
    """A serve-repo that runs, and everything it has printed."""

    def __init__(self, command: list[str], ports: Ports) -> None:
        self.ports = ports
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.client = triton.InferenceServerClient(f"127.0.0.1:{ports.grpc}")
        self.family: list[psutil.Process] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, pattern: str, count: int = 1) -> None:
        def there() -> bool:
            if self.process.poll() is not None:
                self._reader.join(5)
                if len(re.findall(pattern, self.text, re.MULTILINE)) < count:
                    pytest.fail(f"ended with {self.process.returncode}:\n{self.text}")
            return len(re.findall(pattern, self.text, re.MULTILINE)) >= count

        try:
            wait_for(pattern, there)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n{self.text}")

    def serving(self) -> "Served":
        self.wait_line("^Ctrl-C stops it")
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        return self

    def stubs(self, model: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if len(command) > 1 and command[0].endswith("_stub") and f"/{model}/1/model.py" in command[1]:
                    found.append(process)
        return found

    @property
    def tritonserver(self) -> psutil.Process:
        return next(process for process in self.family if process.name() == "tritonserver")

    @property
    def prefix(self) -> str:
        argument = next(part for part in self.tritonserver.cmdline() if "shm-region-prefix-name=" in part)
        return argument.rpartition("=")[2]

    def echo(self, model: str, text: bytes = b"x") -> bool:
        tensor = triton.InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text]], dtype=object))
        try:
            result = self.client.infer(model, [tensor], client_timeout=PATIENCE)
        except InferenceServerException:
            return False
        return result is not None and result.as_numpy("echo").tolist() == [[text]]

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Sends a signal and returns the seconds until the end, without those in which no core was free for it."""
        start, waited = time.monotonic(), waited_for_a_core(self.process.pid)
        self.process.send_signal(number)
        # Not reaped before it was looked at.
        wait_for("its end", lambda: os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
        took = time.monotonic() - start - (waited_for_a_core(self.process.pid) - waited)
        self.process.wait(PATIENCE)
        return took

    def leaves_nothing(self, prefix: str) -> None:
        wait_for("no process left", lambda: not [process for process in self.family if running(process)])
        wait_for("no region left", lambda: not list(SHARED_MEMORY.glob(f"{prefix}*")))


def waited_for_a_core(pid: int) -> float:
    """Seconds that the main thread of a process could have run and did not; 0 where the kernel does not count them."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts serve-repo on a repository with free ports, and ends it and its processes after the test."""
    started: list[Served] = []

    def begin(repository: Path, *arguments: str, script: str | None = None) -> Served:
        ports = Ports(*free_ports(4))
        program = ["-c", script] if script else ["-m", "hub2triton.serve.command"]
        shim = [] if script else ["--no-shim"]
        served = Served([sys.executable, *program, str(repository), *ports.flags, *shim, *arguments], ports)
        started.append(served)
        return served

    yield begin
    for served in started:
        served.client.close()
        served.process.terminate()
        try:
            served.process.wait(2 * STOP)
        except subprocess.TimeoutExpired:
            served.process.kill()  # its guard ends the rest
            served.process.wait()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    return root


def test_the_good_serve_and_the_bad_are_named(repository: Path, start: Start) -> None:
    write_model(repository, "org--echo.v1")
    write_model(repository, "slow", initialize="time.sleep(2)")
    write_model(repository, "absent", top="import a_package_that_is_not_there")
    write_model(repository, "dies", initialize="os._exit(3)")
    write_model(repository, "broken")
    (repository / "broken" / "config.pbtxt").write_text('backend: "python')
    (repository / ".git").mkdir()
    (repository / "notes").mkdir()
    served = start(repository).serving()
    assert re.search(r"^ready   org--echo\.v1 in \d+\.\d s$", served.text, re.MULTILINE)
    assert "failed  absent: ModuleNotFoundError: No module named 'a_package_that_is_not_there'" in served.lines
    assert "failed  dies: its process ended while loading: killed for memory, or crashed in a library" in served.lines
    assert "failed  broken: config.pbtxt 1:10" in served.text
    assert "(not loaded: absent, broken, dies)" in served.text
    assert any(re.fullmatch(r"model   INFO  hello from slow", line) for line in served.lines)
    assert not [line for line in served.lines if line.startswith(("triton", "At:")) or "pinned" in line]
    assert served.echo("org--echo.v1")
    assert served.echo("slow", "ü".encode())
    url = f"http://127.0.0.1:{served.ports.metrics}/metrics"
    with urllib.request.urlopen(url) as metrics:
        assert b"nv_inference_request_success" in metrics.read()
    prefix = served.prefix
    # The models that did not load are no reason to stop slowly.
    assert served.stop() < STOP
    assert served.process.returncode == 0
    served.leaves_nothing(prefix)


def test_a_taken_port_is_said_at_once(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        served = start(repository, f"--metrics-port={number}")
        assert served.process.wait(PATIENCE) == 6
    served.wait_line(rf"Port {number} \(--metrics-port\) is taken")
    assert "loading" not in served.text


def test_no_model_that_loads_is_an_error(repository: Path, start: Start) -> None:
    write_model(repository, "absent", top="import a_package_that_is_not_there")
    served = start(repository)
    assert served.process.wait(PATIENCE) == 6
    served.wait_line("No model could be loaded")
    served.wait_line("failed  absent: ModuleNotFoundError")


def test_killed_model_processes_are_replaced(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    write_model(repository, "two", count=2)
    write_model(repository, "other")
    served = start(repository).serving()
    prefix = served.prefix
    others = served.stubs("other")
    stopped = threading.Event()
    answers: list[bool] = []

    def pound() -> None:
        while not stopped.is_set():
            answers.append(served.echo("other"))
            time.sleep(0.01)

    pounding = threading.Thread(target=pound)
    pounding.start()
    try:
        for times, model in enumerate(("echo", "two", "echo"), 1):
            old = served.stubs(model)
            old[0].kill()
            served.wait_line(r"^ready   .* in", 3 + times)
            assert [served.echo(model) for _ in range(6)] == [True] * 6  # from the first on
            new = served.stubs(model)
            assert len(new) == len(old)
            assert not {process.pid for process in new} & {process.pid for process in old}
            assert not [process for process in old if running(process)]
            served.family += new
    finally:
        stopped.set()
        pounding.join()
    assert all(answers)
    assert served.stubs("other") == others
    assert len(re.findall(r"^died    (echo|two): its process \d+ is gone", served.text, re.MULTILINE)) == 3
    assert served.client.is_server_ready()
    # Triton holds on to every process that died, and would wait its whole exit timeout and more.
    assert served.stop(signal.SIGINT) < STOP
    assert served.process.returncode == 0
    served.leaves_nothing(prefix)


def test_a_model_that_no_longer_loads_is_tried_again(repository: Path, start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "absent"
    write_model(repository, "echo", initialize=f"assert not os.path.exists({str(switch)!r}), 'switched off'")
    served = start(repository).serving()
    switch.touch()
    served.stubs("echo")[0].kill()
    served.wait_line(r"^failed  echo: AssertionError: switched off; next attempt in 1 s")
    served.wait_line(r"^failed  echo: AssertionError: switched off; next attempt in 2 s")
    switch.unlink()
    served.wait_line(r"^ready   echo in", 2)
    wait_for("it answers", lambda: served.echo("echo"))


def test_stop_while_a_process_is_dead_and_a_model_loads(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    write_model(repository, "endless", initialize="time.sleep(600)")
    served = start(repository)
    served.wait_line("^ready   echo")
    wait_for("the endless model's process", lambda: len(served.stubs("endless")) == 1)
    served.family = psutil.Process(served.process.pid).children(recursive=True)
    prefix = served.prefix
    served.stubs("echo")[0].kill()
    assert served.stop() < STOP
    assert served.process.returncode == 0
    served.leaves_nothing(prefix)


def test_a_second_signal_kills_at_once(repository: Path, start: Start) -> None:
    write_model(repository, "endless", initialize="time.sleep(600)")
    served = start(repository)
    wait_for("the endless model's process", lambda: len(served.stubs("endless")) == 1)
    served.family = psutil.Process(served.process.pid).children(recursive=True)
    prefix = served.prefix
    served.process.send_signal(signal.SIGHUP)
    served.wait_line("^stopping")
    assert served.stop(signal.SIGINT) < 2
    served.leaves_nothing(prefix)


def test_a_killed_serve_repo_leaves_nothing(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    served = start(repository).serving()
    command = served.tritonserver.cmdline()
    folder = Path(next(part for part in command if part.startswith("--backend-directory=")).partition("=")[2]).parent
    prefix = served.prefix
    assert folder.is_dir()
    assert list(SHARED_MEMORY.glob(f"{prefix}*"))
    served.process.kill()
    served.process.wait()
    served.leaves_nothing(prefix)
    wait_for("no folder left", lambda: not folder.exists())


def test_a_dead_tritonserver_is_started_again_with_its_models(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    write_model(repository, "two", count=2)
    write_model(repository, "absent", top="import a_package_that_is_not_there")
    served = start(repository).serving()
    prefix = served.prefix
    others = served.stubs("echo") + served.stubs("two")
    served.tritonserver.kill()
    served.wait_line("^died    tritonserver was killed by SIGKILL; starting it again at once")
    served.wait_line("^ready   echo in", 2)
    served.wait_line("^ready   two in", 2)
    served.wait_line("^failed  absent", 2)
    assert served.echo("echo")
    assert served.echo("two")
    assert not [process for process in others if running(process)]
    served.family = psutil.Process(served.process.pid).children(recursive=True)
    # What the first one left in shared memory is gone; a process is repaired as before.
    assert len(list(SHARED_MEMORY.glob(f"{prefix}*"))) == len(served.stubs("echo") + served.stubs("two"))
    served.stubs("echo")[0].kill()
    served.wait_line("^ready   echo in", 3)
    wait_for("echo answers", lambda: served.echo("echo"))
    assert served.stop() < STOP
    assert served.process.returncode == 0
    served.leaves_nothing(prefix)


def test_a_dead_tritonserver_ends_serve_repo_where_that_is_wanted(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    served = start(repository, "--max-restarts=0").serving()
    prefix = served.prefix
    served.tritonserver.kill()
    assert served.process.wait(PATIENCE) == 6
    served.wait_line("tritonserver was killed by SIGKILL. Its last lines:")
    served.leaves_nothing(prefix)


# In place of the shim: a server that answers, and dies when asked to.
SHIM = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(7)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *arguments):
        print("asked for", self.path, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

WITH_SHIM = """
import sys
from hub2triton.error import Hub2TritonError
from hub2triton.serve.command import serve
from hub2triton.serve.options import parse
options = parse()
try:
    serve(options, [sys.executable, "-c", SHIM, str(options.port)])
except Hub2TritonError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def get(url: str) -> bytes | None:
    with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:
        return bytes(answer.read())
    return None


def test_a_shim_that_dies_is_started_again(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    served = start(repository, script=WITH_SHIM.replace("SHIM", repr(SHIM))).serving()
    url = f"http://127.0.0.1:{served.ports.shim}"
    assert f"curl {url}/ " in served.text
    first = get(url)
    assert first
    with contextlib.suppress(Exception):
        get(f"{url}/die")
    wait_for("another shim answers", lambda: get(url) not in (None, first))
    served.wait_line("^died    the shim exited with code 7")
    served.wait_line("^shim    asked for /$")
    served.family = psutil.Process(served.process.pid).children(recursive=True)
    prefix = served.prefix
    assert served.stop() < STOP
    assert served.process.returncode == 0
    served.leaves_nothing(prefix)


def test_a_shim_that_never_answers_is_an_error(repository: Path, start: Start) -> None:
    write_model(repository, "echo")
    script = WITH_SHIM.replace("SHIM", repr("print('no such option'); raise SystemExit(2)"))
    served = start(repository, script=script)
    assert served.process.wait(PATIENCE) == 6
    served.wait_line("The shim exited with code 2 3 times without having answered")
    served.wait_line("^    no such option")


def test_environment_of_the_models(repository: Path, start: Start) -> None:
    write_model(repository, "echo", initialize=textwrap.dedent("import sys; print('prefix', sys.prefix, flush=True)"))
    served = start(repository).serving()
    assert f"model         prefix {sys.prefix}" in served.lines
    assert os.environ.get("TOKENIZERS_PARALLELISM", "false") == served.tritonserver.environ()["TOKENIZERS_PARALLELISM"]

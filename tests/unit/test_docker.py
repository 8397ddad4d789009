"""The container's entry point, run for real with commands that only take notes; and what the image is made of."""

from __future__ import annotations

import fnmatch
import http.server
import importlib.resources
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.dockerfile import DOCKER, ROOT, values
from tests.e2e.service import free_ports

from hub2triton.generate import command as generate_command
from hub2triton.generate import local
from hub2triton.generate import plan as planning
from hub2triton.generate.options import Options
from hub2triton.generate.source import Origin, Source
from hub2triton.serve import options as serve_options
from hub2triton.shim import command as shim_command

SECRET = "hf_the_secret_itself"  # noqa: S105 - nobody's

# Notes its name, its process and its arguments, then goes on as the test says.
FAKE = """#!{python}
import json, os, signal, sys, time
def note(*what):
    with open(os.environ["NOTES"], "a") as notes:
        print(json.dumps(what), file=notes, flush=True)
signals = []
def stopped(number, _):
    note("stopped", number)
    signals.append(number)
    if os.environ.get("{key}") != "late":
        sys.exit(130)
name = os.path.basename(sys.argv[0])
if name == "generate-repo":
    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)
note(name, os.getpid(), sys.argv[1:], os.environ.get("HF_TOKEN"))
behaviour = os.environ.get("{key}", "0")
if behaviour == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour in ("hangs", "late"):
    until = time.monotonic() + 60
    while time.monotonic() < until and not signals:
        time.sleep(0.01)
    sys.exit(0)
sys.exit(int(behaviour))
"""


@dataclass
class Container:
    """An entry point to start, with fake commands on its PATH and folders of its own for those of the image."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the image sets; the rest of the image's environment has nothing of this test's."""
        return {
            "PATH": str(self.folder / "bin"),
            "NOTES": str(self.folder / "notes"),
            "HF_MODEL_DIR": str(self.folder / "repository"),
            "HUB2TRITON_REPO": str(self.folder / "models"),
            "HUB2TRITON_OUTPUT": str(self.folder / "data"),
        }

    @property
    def notes(self) -> list[list[Any]]:
        file = self.folder / "notes"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def commands(self) -> list[list[str]]:
        """What was run, the test's folder cut off from all paths."""
        return [
            [note[0], *(argument.removeprefix(f"{self.folder}/") for argument in note[2])]
            for note in self.notes
            if note[0] != "stopped"
        ]

    def start(self, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, DOCKER / "entrypoint.py", *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
        """The exit code, and all that was printed."""
        process = self.start(environment, *arguments)
        out, err = process.communicate(timeout=30)
        return process.returncode, out + err

    def until(self, what: str) -> None:
        """Waits for a note."""
        limit = time.monotonic() + 20
        while not any(note[0] == what for note in self.notes):
            assert time.monotonic() < limit, f"no {what} in {self.notes}"
            time.sleep(0.01)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    place = tmp_path / "bin"
    place.mkdir()
    for name, key in (("generate-repo", "GENERATE"), ("serve-repo", "SERVE")):
        (place / name).write_text(FAKE.format(python=sys.executable, key=key))
        (place / name).chmod(0o755)
    for name in ("repository", "models", "data"):
        (tmp_path / name).mkdir()
    return Container(tmp_path)


@pytest.fixture(scope="module")
def entrypoint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_entrypoint", DOCKER / "entrypoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def mount_model(container: Container, name: str = "config.json") -> None:
    (container.folder / "repository" / name).write_text("{}")


def mount_repository(container: Container) -> None:
    (container.folder / "models" / "mine").mkdir()
    (container.folder / "models" / "mine" / "config.pbtxt").touch()


BIND = ["--host", "0.0.0.0", "--port", "5000"]
ID = {"HF_MODEL_ID": "org/model"}
NAMED = ["--name", "org--model", "--output", "data"]
SERVED = ["serve-repo", "data", "--model", "org--model"]


@pytest.mark.parametrize(
    ("environment", "generate", "serve"),
    [
        ({}, [], BIND),
        ({"HF_TASK": "", "HF_REVISION": "", "HF_TRUST_REMOTE_CODE": "", "PORT": ""}, [], BIND),
        ({"HF_TASK": "text-classification"}, ["--task", "text-classification"], BIND),
        ({"HF_REVISION": "v1", "HF_TRUST_REMOTE_CODE": "True"}, ["--revision", "v1", "--trust-remote-code"], BIND),
        ({"HF_TRUST_REMOTE_CODE": "0", "HF_FRAMEWORK": "pytorch"}, [], BIND),
        ({"HF_TOKEN": SECRET}, [], BIND),
        ({"HF_HUB_TOKEN": SECRET}, ["--token-env", "HF_HUB_TOKEN"], BIND),
        ({"HF_TOKEN": SECRET, "HF_HUB_TOKEN": SECRET}, [], BIND),
        ({"HUB2TRITON_API_KEY": SECRET}, [], BIND),
        ({"HF_DEFAULT_PIPELINE_NAME": "handler.py", "HF_MODULE_NAME": ""}, [], BIND),
        (
            {"HUB2TRITON_GENERATE_ARG": "--dtype fp16 --instances '2'"},
            ["--dtype", "fp16", "--instances", "2"],
            BIND,
        ),
        ({"PORT": "8081"}, [], ["--host", "0.0.0.0", "--port", "8081"]),
        ({"HUB2TRITON_PORT": "9000", "HUB2TRITON_HOST": "::"}, [], ["--host", "::", "--port", "9000"]),
        ({"AIP_HTTP_PORT": "8082", "PORT": "1", "HUB2TRITON_PORT": "2"}, [], ["--host", "0.0.0.0", "--port", "8082"]),
    ],
)
def test_a_model_of_the_hub(
    container: Container, environment: dict[str, str], generate: list[str], serve: list[str]
) -> None:
    code, printed = container.run(ID | environment)
    assert code == 0, printed
    assert container.commands() == [["generate-repo", "org/model", *NAMED, *generate], [*SERVED, *serve]]
    assert SECRET not in printed + json.dumps(container.commands())
    # The commands themselves take these arguments, and read them as they are meant.
    given = generate_command._parser().parse_args(container.notes[0][2])
    assert (given.model, given.task) == ("org/model", environment.get("HF_TASK") or None)
    assert given.trust_remote_code == (environment.get("HF_TRUST_REMOTE_CODE") == "True")
    served = serve_options.parse(container.notes[1][2], {})
    assert served.models == ("org--model",)
    assert str(served.port) == serve[-1]


def test_a_mounted_model_comes_first(container: Container) -> None:
    mount_model(container)
    mount_repository(container)
    code, printed = container.run(ID | {"HF_TASK": "fill-mask", "HF_REVISION": "v1", "HF_HUB_TOKEN": SECRET})
    assert code == 0, printed
    # Named by its id, but taken as it was mounted: a revision or a token would be for the Hub.
    assert container.commands()[0] == ["generate-repo", "repository", *NAMED, "--task", "fill-mask"]


@pytest.mark.parametrize("file", ["modules.json", "model_index.json", "handler.py", "pipeline.py"])
def test_a_mounted_model_without_a_name(container: Container, file: str) -> None:
    mount_model(container, file)
    assert container.run({})[0] == 0
    assert container.commands() == [
        ["generate-repo", "repository", "--name", "repository", "--output", "data"],
        ["serve-repo", "data", "--model", "repository", *BIND],
    ]


def test_a_mounted_repository(container: Container) -> None:
    mount_repository(container)
    assert container.run({"HF_TASK": "fill-mask"})[0] == 0
    assert container.commands() == [["serve-repo", "models", *BIND]]
    (container.folder / "notes").unlink()
    assert container.run(ID)[0] == 0
    assert container.commands()[0][1] == "org/model"


def test_sagemaker_says_serve(container: Container) -> None:
    mount_model(container)
    assert container.run({}, "serve")[0] == 0
    assert container.commands()[1][-2:] == ["--port", "8080"]
    (container.folder / "notes").unlink()
    assert container.run({"SAGEMAKER_BIND_TO_PORT": "8083"}, "serve")[0] == 0
    assert container.commands()[1][-2:] == ["--port", "8083"]


def test_sagemakers_model_directory(entrypoint: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "holds_model", lambda folder: folder == Path("/opt/ml/model"))
    assert entrypoint.plan({}, sagemaker=True).generate[:4] == ("generate-repo", "/opt/ml/model", "--name", "model")
    with pytest.raises(entrypoint.SettingError):
        entrypoint.plan({})


def test_flags_go_to_serve_repo(container: Container) -> None:
    assert container.run(ID, "--verbose", "--port", "9001")[0] == 0
    served = serve_options.parse(container.notes[1][2], {})
    assert (served.verbose, served.port, served.host) == (True, 9001, "0.0.0.0")


def test_another_command_runs_instead(container: Container) -> None:
    code, _ = container.run(ID | {"GENERATE": "4"}, "generate-repo", "--list-tasks")
    assert (code, container.commands()) == (4, [["generate-repo", "--list-tasks"]])
    code, printed = container.run(ID, "no-such-command")
    assert (code, printed) == (127, "entrypoint: no-such-command cannot be run: No such file or directory.\n")


def test_the_environment_goes_on_as_it_is(container: Container) -> None:
    process = container.start(ID | {"HF_TOKEN": SECRET})
    process.communicate(timeout=30)
    (_, generating, _, first), (_, serving, _, second) = container.notes
    assert first == second == SECRET
    assert serving == process.pid != generating  # serve-repo takes the entry point's place


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "nothing to serve: set HF_MODEL_ID"),
        ({"HF_MODEL_ID": "", "HF_TASK": "fill-mask"}, "nothing to serve: set HF_MODEL_ID"),
        (ID | {"HF_TRUST_REMOTE_CODE": "perhaps"}, "HF_TRUST_REMOTE_CODE is 'perhaps'; set it to 1 or 0."),
        (ID | {"HF_DEFAULT_PIPELINE_NAME": "mine.py"}, "HF_DEFAULT_PIPELINE_NAME is 'mine.py', but only handler.py"),
        (ID | {"HF_MODULE_NAME": "mine.Handler"}, "HF_MODULE_NAME is 'mine.Handler', but only handler.EndpointHandler"),
        (ID | {"HUB2TRITON_GENERATE_ARG": "'--task"}, 'HUB2TRITON_GENERATE_ARG is "\'--task": No closing quotation'),
    ],
)
def test_what_cannot_be(container: Container, environment: dict[str, str], message: str) -> None:
    code, printed = container.run(environment)
    assert code == 2
    assert printed.startswith(f"entrypoint: {message}")
    assert printed.count("\n") == 1
    assert container.commands() == []


@pytest.mark.parametrize(("behaviour", "code"), [("1", 1), ("3", 3), ("4", 4), ("killed", 128 + signal.SIGKILL)])
def test_nothing_is_served_where_generating_fails(container: Container, behaviour: str, code: int) -> None:
    assert container.run(ID | {"GENERATE": behaviour}) == (code, "")
    assert [command[0] for command in container.commands()] == ["generate-repo"]


def test_the_exit_code_is_serve_repos(container: Container) -> None:
    assert container.run(ID | {"SERVE": "6"}) == (6, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_generating(container: Container, number: signal.Signals) -> None:
    process = container.start(ID | {"GENERATE": "hangs"})
    container.until("generate-repo")
    assert os.getpgid(container.notes[0][1]) != process.pid  # or a terminal's signal would reach it twice
    os.killpg(process.pid, number)  # as a terminal does, to all of the foreground
    assert process.wait(timeout=20) == 130
    process.communicate()
    assert [note[:2] for note in container.notes[1:]] == [["stopped", number]]  # and nothing was served


def test_a_signal_that_comes_late(container: Container) -> None:
    process = container.start(ID | {"GENERATE": "late"})
    container.until("generate-repo")
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM  # though generate-repo ended well, if only then
    process.communicate()
    assert [command[0] for command in container.commands()] == ["generate-repo"]


def test_a_signal_reaches_serve_repo(container: Container) -> None:
    process = container.start(ID | {"SERVE": "hangs"})
    container.until("serve-repo")
    process.terminate()
    assert process.wait(timeout=20) == -signal.SIGTERM  # nothing of the entry point's is in its way
    process.communicate()


@pytest.mark.parametrize("model", ["org/model", "gpt2", "Org.x/a_b-1.5", "_org/x", "org/name with space"])
def test_names_are_generate_repos(entrypoint: ModuleType, model: str) -> None:
    source = Source(Origin.HUB, model, "0" * 40, None, None, ())
    assert entrypoint.model_name(model) == planning._name(Options(model, Path()), source)[0]


@pytest.mark.parametrize("name", ["repository", ".hidden", "größe 2"])
def test_names_of_directories_are_generate_repos(entrypoint: ModuleType, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    source = local.resolve(tmp_path / name)
    wanted = planning._name(Options(str(tmp_path), Path()), source)[0]
    assert entrypoint.model_name(str(tmp_path / name)) == entrypoint.model_name(f"{tmp_path / name}/") == wanted


class Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def health() -> Iterator[Callable[[dict[str, str]], tuple[int, str]]]:
    """Runs the health check, with a proxy in its environment that would not answer."""

    def check(environment: dict[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"],
            env={"http_proxy": "http://127.0.0.1:1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    yield check
    Health.status = 200


def test_health(health: Callable[[dict[str, str]], tuple[int, str]]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    number = str(server.server_port)
    try:
        assert health({"PORT": number}) == (0, "/health answered 200\n")
        assert health({"AIP_HTTP_PORT": number, "PORT": "1"})[0] == 0
        Health.status = 503
        assert health({"PORT": number}) == (1, "/health answered 503\n")
    finally:
        server.shutdown()
        server.server_close()
    code, said = health({"PORT": str(free_ports(1)[0])})
    assert code == 1
    assert "no answer at port" in said


def test_what_is_copied_is_there_and_let_in() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    sources = [
        source for copied in values("COPY") if not copied.startswith("--from=") for source in shlex.split(copied)[:-1]
    ]
    assert sorted(sources) == sorted(let_in)  # nothing more gets into the build than it uses
    assert [source for source in sources if not (ROOT / source).exists()] == []
    # What the package is built from is in the build.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    used = [project["project"]["readme"], *project["project"]["license-files"], *build["packages"]]
    used += build["force-include"]
    assert [path for path in used if not any(path == name or path.startswith(f"{name}/") for name in let_in)] == []


def test_what_the_image_installs_is_defined() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (install,) = [rest for rest in values("RUN") if "pip install" in rest]
    (extras,) = re.findall(r"'\.\[(.*)\]'", install)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "--constraint constraints.txt" in install
    arguments = dict(argument.split("=") for argument in values("ARG"))
    assert re.fullmatch(r"3\.(11|12)\.\d+-slim-[a-z]+", arguments["PYTHON"])  # those that scripts/find-python takes
    assert re.fullmatch(r"\d\d\.\d\d-py3", arguments["TRITON"])
    stages = [line.split() for line in values("FROM")]
    assert [stage[0] for stage in stages] == [
        "python:${PYTHON}",
        "nvcr.io/nvidia/tritonserver:${TRITON}",
        "${DEVICE}",
        "${DEVICE}",
    ]
    assert {arguments["DEVICE"], "gpu"} == {stage[2] for stage in stages[:2]}


def test_the_image_is_not_roots_and_holds_no_secrets() -> None:
    assert values("USER") == ["1000"]
    named = re.findall(r"([A-Z_]+)=", " ".join(values("ENV") + values("ARG")))
    assert named
    assert [name for name in named if fnmatch.filter([name], "*TOKEN*") or re.search("KEY|SECRET|PASSWORD", name)] == []


def test_the_image_starts_what_is_copied(entrypoint: ModuleType) -> None:
    (scripts,) = [rest.split() for rest in values("COPY") if "entrypoint.py" in rest]
    placed = {f"{scripts[-1]}{Path(source).name}" for source in scripts[:-1]}
    (start,) = values("ENTRYPOINT")
    check = values("HEALTHCHECK")[0].partition("CMD ")[2]
    assert {json.loads(start)[1], json.loads(check)[1]} == placed
    assert values("EXPOSE") == [entrypoint.PORT]
    # Linked and not copied, the weights need the Hub's cache and the repository on one volume.
    (volume,) = values("VOLUME")
    environment = dict(pair.split("=", 1) for line in values("ENV") for pair in line.split())
    run = entrypoint.plan(ID)
    assert run.generate[run.generate.index("--output") + 1].startswith(f"{volume}/")
    assert environment["HF_HOME"].startswith(f"{volume}/")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_a_service_of_compose(entrypoint: ModuleType, name: str) -> None:
    service = compose()["services"][name]
    build = service["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert build["args"] == {"DEVICE": name}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "/tmp" in service["tmpfs"]
    assert service["shm_size"] == "1gb"
    assert set(service["environment"].values()) == {None}  # passed on from the shell: no value stands in the file
    (published,) = service["ports"]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(f":{entrypoint.PORT}")
    assert "data:/data" in service["volumes"]
    assert service["healthcheck"]["test"] == ["CMD", *json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])]
    assert ("deploy" in service) == (name == "gpu")


def test_no_profile_of_compose_starts_two_services_on_one_port() -> None:
    services = compose()["services"].values()
    for profile in {None, *(each for service in services for each in service.get("profiles", []))}:
        started = [service for service in services if not service.get("profiles") or profile in service["profiles"]]
        ports = [port for service in started for port in service.get("ports", [])]
        assert len(ports) == len(set(ports)), profile


def of_the_specification(document: dict[str, Any]) -> list[str]:
    """What the JSON schema of the compose specification has against a file."""
    place = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(place.read_text(encoding="utf-8"))
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def test_the_file_of_compose_is_as_the_specification_says() -> None:
    assert of_the_specification(compose()) == []


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("shm_sizes", "1gb", "'shm_sizes' was unexpected"),
        ("tmpfs", {"/tmp": None}, "{'/tmp': None} is not valid"),
        ("cap_drop", "ALL", "'ALL' is not of type 'array'"),
    ],
)
def test_what_the_specification_does_not_know_is_found(part: str, value: object, why: str) -> None:
    document = compose()
    document["services"]["cpu"][part] = value
    assert why in "\n".join(of_the_specification(document))


def test_every_variable_is_explained(entrypoint: ModuleType) -> None:
    readme = (DOCKER / "README.md").read_text()
    read = set(re.findall(r'"((?:HF|AIP|HUB2TRITON|SAGEMAKER)_[A-Z_]+|PORT)"', (DOCKER / "entrypoint.py").read_text()))
    assert len(read) > 10
    passed = set(compose()["services"]["cpu"]["environment"])
    assert sorted(name for name in read | passed if f"`{name}`" not in readme) == []
    commands = (serve_options._parser(serve_options._Mirror({})), shim_command._parser())
    flags = {flag for command in commands for flag in command._option_string_actions if flag.startswith("--")}
    mine = {name for name in read | passed if name.startswith("HUB2TRITON_")}
    assert mine - {serve_options.variable(flag) for flag in flags} == {
        "HUB2TRITON_REPO",
        "HUB2TRITON_OUTPUT",
        "HUB2TRITON_GENERATE_ARG",
    }


def test_the_manifests_for_kubernetes() -> None:
    manifests = list(yaml.safe_load_all((DOCKER / "kubernetes.yaml").read_text()))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.30", strict=True)
    (deployment,) = (manifest for manifest in manifests if manifest["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/dev/shm", "/tmp"}
    assert container["securityContext"]["readOnlyRootFilesystem"]

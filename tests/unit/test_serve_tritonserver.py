import platform
import re
import sys
from pathlib import Path

import pytest

from hub2triton.error import ServeError
from hub2triton.serve import tritonserver, wheel
from hub2triton.serve.options import Options
from hub2triton.serve.tritonserver import Installation, find_tritonserver, launch
from hub2triton.serve.wheel import Wheel

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def installed(tmp_path: Path) -> Wheel:
    server = tmp_path / "site-packages" / "pytriton" / "tritonserver"
    for file in ("bin/tritonserver", f"python_backend_stubs/{VERSION}/triton_python_backend_stub"):
        (server / file).parent.mkdir(parents=True)
        (server / file).touch(mode=0o755)
    return Wheel(server, tmp_path / "site-packages" / "nvidia_pytriton.libs")


@pytest.fixture
def libpython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    library = tmp_path / f"libpython{VERSION}.so.1.0"
    library.touch()
    monkeypatch.setattr(tritonserver, "find_libpython", lambda: library)
    return library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_wheel_gets_backends_libraries_and_packages(installed: Wheel, libpython: Path, folder: Path) -> None:
    environment = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/cuda", "OMP_WAIT_POLICY": "ACTIVE"}
    started = launch(Installation(installed.binary, installed), Options(folder), folder, "run-", environment)
    assert started.command[0] == str(installed.binary)
    assert started.command[-1] == f"--backend-directory={folder}/backends"
    stub = folder / "backends" / "python" / "triton_python_backend_stub"
    assert stub.readlink() == installed.stub(VERSION)
    assert (folder / "lib" / libpython.name).readlink() == libpython
    assert started.environment["LD_LIBRARY_PATH"] == f"{folder}/lib:{installed.libraries}:/cuda"
    assert started.environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert started.environment["OMP_WAIT_POLICY"] == "ACTIVE"
    assert started.environment["TOKENIZERS_PARALLELISM"] == "false"


def test_another_tritonserver_keeps_its_environment(folder: Path) -> None:
    started = launch(Installation(Path("/opt/tritonserver")), Options(folder), folder, "run-", {"PATH": "/usr/bin"})
    assert started.environment["PATH"] == "/usr/bin"
    assert "LD_LIBRARY_PATH" not in started.environment
    assert list(folder.iterdir()) == []


def test_arguments(folder: Path) -> None:
    options = Options(folder / ".." / "run", triton_host="::1", grpc_port=1, triton_args=("--log-verbose=1",))
    command = launch(Installation(Path("/t")), options, folder, "run-", {}).command
    assert f"--model-repository={folder}" in command
    assert "--backend-config=python,shm-region-prefix-name=run-" in command
    assert {"--grpc-port=1", "--grpc-address=::1", "--metrics-address=::1", "--model-control-mode=explicit"} <= {
        *command
    }
    assert not any(argument.startswith("--load-model") for argument in command)
    assert command[-1] == "--log-verbose=1"


def test_what_can_change_the_server_is_closed_to_web_pages(tmp_path: Path) -> None:
    def guard() -> str:
        command = launch(Installation(Path("/t")), Options(tmp_path), tmp_path, "run-", {}).command
        (found,) = [argument for argument in command if argument.startswith("--http-restricted-api=")]
        return found

    assert re.fullmatch(
        r"--http-restricted-api=model-repository,shared-memory,trace,logging:[0-9a-f]{16}=[0-9a-f]{64}", guard()
    )
    assert guard() != guard()


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Wheel) -> None:
    monkeypatch.setattr(tritonserver, "find_wheel", lambda: installed)
    monkeypatch.setattr(tritonserver, "check_platform", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_tritonserver(None) == Installation(installed.binary, installed)
    on_path = executable(tmp_path / "bin" / "tritonserver")
    assert find_tritonserver(None) == Installation(on_path)
    named = executable(tmp_path / "named")
    assert find_tritonserver(named) == Installation(named)
    assert find_tritonserver(installed.binary) == Installation(installed.binary, installed)
    with pytest.raises(ServeError, match="--tritonserver"):
        find_tritonserver(tmp_path / "absent")


def test_no_tritonserver_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tritonserver, "find_wheel", lambda: None)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ServeError, match="pip install"):
        find_tritonserver(None)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ServeError, match=r"Linux x86-64 only .*Linux aarch64"):
        find_tritonserver(None)


def test_a_python_the_wheel_has_no_stub_for(installed: Wheel, folder: Path) -> None:
    installed.stub(VERSION).unlink()
    other = executable(installed.stub("3.9"))
    executable(installed.stub("3.13"))
    installed.stub(VERSION).parent.rmdir()
    assert other.is_file()
    with pytest.raises(ServeError, match=rf"under Python 3\.9, 3\.13, not {VERSION}"):
        wheel.build_backends(installed, folder)


def test_a_python_without_shared_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel.sysconfig, "get_config_var", lambda name: str(tmp_path) if name == "LIBDIR" else None)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(ServeError, match=f"apt install libpython{VERSION}"):
        wheel.find_libpython()
    library = tmp_path / f"libpython{VERSION}.so.1.0"
    library.touch()
    assert wheel.find_libpython() == library


def test_a_repository_with_a_space_in_its_path_is_linked(folder: Path) -> None:
    repository = folder / "my models"
    repository.mkdir()
    started = launch(Installation(Path("/t")), Options(repository), folder, "run-", {})
    assert started.repository == folder / "models"
    assert started.repository.resolve() == repository
    assert f"--model-repository={folder}/models" in started.command


def test_models_do_not_get_the_keys_of_callers(folder: Path) -> None:
    environment = {"HUB2TRITON_API_KEY": "secret", "HF_TOKEN": "needed"}
    started = launch(Installation(Path("/t")), Options(folder), folder, "run-", environment)
    assert "HUB2TRITON_API_KEY" not in started.environment
    assert started.environment["HF_TOKEN"] == environment["HF_TOKEN"]


def test_triton_sends_its_spans_where_the_shim_does(folder: Path) -> None:
    def arguments(**environment: str) -> list[str]:
        command = launch(Installation(Path("/t")), Options(folder), folder, "run-", environment).command
        return [argument for argument in command if argument.startswith("--trace-config=")]

    assert arguments() == []
    assert arguments(OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318") == [
        "--trace-config=mode=opentelemetry",
        "--trace-config=opentelemetry,url=http://c:4318/v1/traces",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=0",
    ]

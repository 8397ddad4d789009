"""Finding tritonserver, and the arguments and environment to start it with."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton import collector
from hub2triton.error import ServeError
from hub2triton.serve.wheel import build_backends, build_libraries, check_platform, find_libpython, find_wheel
from hub2triton.shim.command import API_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub2triton.serve.options import Options
    from hub2triton.serve.wheel import Wheel

# The least. Triton counts its exit timeout more than once: with 2 s and a model whose process died, it took 4.5 s to
# exit. serve-repo does not wait that long; it kills what is left once nothing is in flight.
EXIT_TIMEOUT = 2  # seconds

# Paths that mean to a shell what they say.
PLAIN = re.compile(r"[A-Za-z0-9._/+,:=@%-]+")

# What no one needs over HTTP, and every web page that the operator opens in a browser on this machine could otherwise
# ask for: a request to load a model may bring the model's code. serve-repo itself speaks gRPC, which no page can.
GUARDED = ("model-repository", "shared-memory", "trace", "logging")

# What a model's process gets unless the user set it. Triton forks nothing itself, but a tokenizer's own threads fight
# with torch's for the cores, progress bars fill the log, and spinning OpenMP threads starve the other models.
MODEL_ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",  # numpy's: others wait in a loop after every product, and take a core from the model
}


@dataclass(frozen=True)
class Installation:
    """A tritonserver that can be started.

    Attributes:
        binary: The executable.
        wheel: Set where the binary is the one inside nvidia-pytriton, which needs a backend folder built.
    """

    binary: Path
    wheel: Wheel | None = None


@dataclass(frozen=True)
class Launch:
    """Everything a start of tritonserver needs.

    Attributes:
        repository: The model repository, by the path that Triton is given.
    """

    repository: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]


def find_tritonserver(named: Path | None) -> Installation:
    """The tritonserver to run: the one named, the one on PATH, or the one inside the wheel nvidia-pytriton.

    Args:
        named: The binary of --tritonserver; None to look for one.

    Raises:
        ServeError: The binary named cannot be run, or there is none anywhere.
    """
    wheel = find_wheel()
    if named is not None:
        binary = shutil.which(named)
        if binary is None:
            message = f"No executable {named}. Correct --tritonserver (or HUB2TRITON_TRITONSERVER), or leave it out."
            raise ServeError(message)
        if wheel and Path(binary).resolve() == wheel.binary.resolve():
            return Installation(wheel.binary, wheel)
        return Installation(Path(binary))
    on_path = shutil.which("tritonserver")
    if on_path is not None:
        return Installation(Path(on_path))
    check_platform()
    if wheel is None:
        message = (
            "No tritonserver: there is none on PATH, and the wheel nvidia-pytriton, which carries one, is not "
            "installed. pip install 'hub2triton[serve]', or name a binary with --tritonserver."
        )
        raise ServeError(message)
    return Installation(wheel.binary, wheel)


def launch(
    installation: Installation, options: Options, folder: Path, region_prefix: str, environment: Mapping[str, str]
) -> Launch:
    """The command and environment of one run.

    Args:
        installation: What to start.
        options: Ports, repository and further arguments.
        folder: An existing folder of this run, for the wheel's backend folder.
        region_prefix: Name every shared memory region of this run starts with.
        environment: The environment of serve-repo.

    Raises:
        ServeError: The wheel does not fit this interpreter.
        CollectorError: Traces cannot be sent as the environment says.
    """
    # Started empty, for the endpoints come up only after the models of the start have loaded; models are loaded
    # through the repository API, several at a time, each with its own progress.
    repository = _plain_path(options.repository.resolve(), folder)
    command = [
        str(installation.binary),
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        "--exit-on-error=false",
        "--strict-readiness=true",
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={max(EXIT_TIMEOUT, math.ceil(options.drain_timeout))}",
        f"--http-address={options.triton_host}",
        f"--http-port={options.http_port}",
        f"--http-restricted-api={','.join(GUARDED)}:{secrets.token_hex(8)}={secrets.token_hex(32)}",
        f"--grpc-address={options.triton_host}",
        f"--grpc-port={options.grpc_port}",
        f"--metrics-address={options.triton_host}",
        f"--metrics-port={options.metrics_port}",
        f"--backend-config=python,shm-region-prefix-name={region_prefix}",
        *_tracing(environment),
    ]
    child = {**MODEL_ENVIRONMENT, **environment}
    child.pop(API_KEY, None)  # the shim's, and nothing for the code of models
    if installation.wheel is not None:
        wheel = installation.wheel
        command.append(f"--backend-directory={build_backends(wheel, folder)}")
        libraries = [build_libraries(find_libpython(), folder), wheel.libraries]
        _prepend(child, "LD_LIBRARY_PATH", *libraries)
        # The stub is an isolated interpreter that ignores PYTHONPATH; it takes its packages from the first python3 on
        # PATH. The link inside the virtual environment is kept, for its target is the base interpreter.
        _prepend(child, "PATH", Path(sys.executable).parent)
    return Launch(repository, (*command, *options.triton_args), child)


def _tracing(environment: Mapping[str, str]) -> list[str]:
    """The arguments that have Triton send its spans to where the shim sends its own.

    At rate 0, Triton 2.51 traces the requests that come with a parent, such as those of the shim that are traced, and
    no others: which ones to trace is decided once, where a trace begins.
    """
    url = collector.endpoint(environment)
    if url is None:
        return []
    settings = ("mode=opentelemetry", f"opentelemetry,url={url}", "level=TIMESTAMPS", "rate=0")
    return [f"--trace-config={setting}" for setting in settings]


def _plain_path(repository: Path, folder: Path) -> Path:
    """The repository itself, or a link to it where Triton cannot use its path.

    Triton 2.51 starts model processes by a shell command that it does not quote: a space in the path kills it.
    """
    if PLAIN.fullmatch(str(repository)):
        return repository
    link = folder / "models"
    link.symlink_to(repository)
    return link


def _prepend(environment: dict[str, str], name: str, *folders: Path) -> None:
    present = environment.get(name, "")
    environment[name] = os.pathsep.join([*map(str, folders), *([present] if present else [])])

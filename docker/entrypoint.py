"""What a container does: write a model repository for the model that the environment names, and serve it.

The variables are those of Hugging Face's inference container, of Vertex AI and of SageMaker; see README.md beside this
file. Needs the standard library alone, and `generate-repo` and `serve-repo` on PATH.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USAGE = 2  # the exit code of generate-repo and serve-repo for wrong options
PORT = "5000"  # of Hugging Face's container
SAGEMAKER_PORT = "8080"

MODEL_FILES = ("config.json", "modules.json", "model_index.json", "handler.py", "pipeline.py")
"""A directory holds a model if it has one of these."""

ONLY = {"HF_DEFAULT_PIPELINE_NAME": "handler.py", "HF_MODULE_NAME": "handler.EndpointHandler"}
"""Variables of Hugging Face's container that can be set, but to no other value."""

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


class SettingError(Exception):
    """The environment cannot be followed; the message says what to change."""


@dataclass(frozen=True)
class Run:
    """The commands of one container.

    Attributes:
        generate: The generate-repo to run first; None where a model repository is there already.
        serve: The serve-repo to become.
    """

    generate: tuple[str, ...] | None
    serve: tuple[str, ...]


def plan(environment: Mapping[str, str], flags: Sequence[str] = (), *, sagemaker: bool = False) -> Run:
    """Decides what to run.

    A model that is mounted comes before one that is named, and both before a model repository that is mounted.

    Args:
        environment: The container's. A variable that is set to nothing counts as not set.
        flags: Further flags for serve-repo.
        sagemaker: Whether SageMaker started the container: it has a port and a model directory of its own.

    Raises:
        SettingError: A variable has a value that cannot be, or nothing is there to serve.
    """
    _refuse_unknown(environment)
    folder = _get(environment, "HF_MODEL_DIR", "/opt/ml/model" if sagemaker else "/repository")
    model_id = _get(environment, "HF_MODEL_ID")
    ready = _get(environment, "HUB2TRITON_REPO", "/models")
    if not holds_model(Path(folder)) and not model_id:
        if any(Path(ready).glob("*/config.pbtxt")):
            return Run(None, _serve(environment, ready, (), flags, sagemaker=sagemaker))
        raise SettingError(
            "nothing to serve: set HF_MODEL_ID to a Hub id, or mount a model at "
            f"{folder} or a model repository at {ready}."
        )
    # Beside the Hub's cache: weights are linked, not copied, as long as both are on one file system.
    output = _get(environment, "HUB2TRITON_OUTPUT", "/data/models")
    name = model_name(model_id or folder)
    options = ["--name", name, "--output", output]
    if task := _get(environment, "HF_TASK"):
        options += ["--task", task]
    if holds_model(Path(folder)):
        source = folder
    else:
        source = model_id
        if revision := _get(environment, "HF_REVISION"):
            options += ["--revision", revision]
        # By its name, never by its value: command lines are no secret. HF_TOKEN is found without being told.
        if _get(environment, "HF_HUB_TOKEN") and not _get(environment, "HF_TOKEN"):
            options += ["--token-env", "HF_HUB_TOKEN"]
    if _switch(environment, "HF_TRUST_REMOTE_CODE"):
        options.append("--trust-remote-code")
    options += _words(environment, "HUB2TRITON_GENERATE_ARG")
    # The repository may hold models of earlier runs, and POST / must mean the one of this run.
    serve = _serve(environment, output, ("--model", name), flags, sagemaker=sagemaker)
    return Run(("generate-repo", source, *options), serve)


def port(environment: Mapping[str, str], *, sagemaker: bool = False) -> str:
    """The port to answer on: what the platform says, else the one that the platform expects."""
    names = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT", "HUB2TRITON_PORT")
    given = next((environment[name] for name in names if environment.get(name)), "")
    return given or (SAGEMAKER_PORT if sagemaker else PORT)


def holds_model(folder: Path) -> bool:
    """Whether a directory holds a model, of whatever library, rather than being empty or absent."""
    return any((folder / name).is_file() for name in MODEL_FILES)


def model_name(model: str) -> str:
    """The name that generate-repo gives a model by itself: `org--name`, or that of the directory."""
    last = Path(model).name if model.startswith("/") else model.replace("/", "--")
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-") or "model"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the container; returns only where it is not to serve.

    Args:
        arguments: None, further flags for serve-repo, SageMaker's `serve`, or a whole command to run instead.
        environment: The container's.
    """
    sagemaker = list(arguments) == ["serve"]
    if arguments and not sagemaker and not arguments[0].startswith("-"):
        become(arguments)
    try:
        run = plan(environment, () if sagemaker else arguments, sagemaker=sagemaker)
    except SettingError as error:
        sys.stderr.write(f"entrypoint: {error}\n")
        return USAGE
    code = finish(run.generate) if run.generate else 0
    if not code:
        become(run.serve)
    return code


def finish(command: Sequence[str]) -> int:
    """Runs a command to its end, handing on the signals that ask to stop.

    Returns:
        Its exit code; 128 and the signal's number where one ended it, or came too late to be heeded by it.
    """
    stops: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _: object) -> None:
        stops.append(number)
        if child is not None:
            child.send_signal(number)

    # Before the child starts, for the first process of a container is sent no signal that it has no handler for.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # In a process group of its own, so that Ctrl-C at a terminal reaches it once, from here.
    try:
        child = subprocess.Popen(command, process_group=0)
    except OSError as error:
        return _cannot_run(command, error)
    if stops:
        child.send_signal(stops[0])
    code = child.wait()
    if code < 0:
        return 128 - code
    return code or (128 + stops[0] if stops else 0)


def become(command: Sequence[str]) -> NoReturn:
    """Replaces this process by a command, which then gets the container's signals itself."""
    sys.stdout.flush()
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(_cannot_run(command, error))


def _cannot_run(command: Sequence[str], error: OSError) -> int:
    sys.stderr.write(f"entrypoint: {command[0]} cannot be run: {error.strerror}.\n")
    return 127 if isinstance(error, FileNotFoundError) else 126  # as a shell says it


def _serve(
    environment: Mapping[str, str], repository: str, options: Sequence[str], flags: Sequence[str], *, sagemaker: bool
) -> tuple[str, ...]:
    host = _get(environment, "HUB2TRITON_HOST", "0.0.0.0")  # noqa: S104 - what a container is for
    address = ("--host", host, "--port", port(environment, sagemaker=sagemaker))
    return ("serve-repo", repository, *options, *address, *flags)


def _get(environment: Mapping[str, str], name: str, default: str = "") -> str:
    return environment.get(name) or default


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").lower()
    if value not in TRUE | FALSE:
        raise SettingError(f"{name} is {environment[name]!r}; set it to 1 or 0.")
    return value in TRUE


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    try:
        return shlex.split(environment.get(name, ""))
    except ValueError as error:
        raise SettingError(f"{name} is {environment[name]!r}: {error}; quote it as for a shell.") from error


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    for name, value in ONLY.items():
        if environment.get(name, value) not in ("", value):
            raise SettingError(f"{name} is {environment[name]!r}, but only {value} is called; leave the variable out.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

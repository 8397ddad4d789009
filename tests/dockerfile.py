"""docker/Dockerfile: its instructions, and what they do where no container is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"

FOLDERS = ("build", "data", "models", "opt", "repository")
"""Those at the top of the image that the instructions name."""

MINE = ("hub2triton", "_hub2triton", "__editable__")
"""How the entries of this project's own installation begin."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows them, joined lines and without comments."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def values(wanted: str) -> list[str]:
    """What follows an instruction, each time."""
    return [rest for word, rest in instructions() if word == wanted]


def context(folder: Path) -> Path:
    """Copies what docker/Dockerfile.dockerignore lets into a build."""
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    ignored = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for name in (line[1:] for line in lines if line.startswith("!")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*ignored))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass
class Image:
    """The last two stages of an image, made below a folder instead of at the root of a container.

    Attributes:
        root: Where `/` of the image is.
        context: What `COPY` copies from.
        environment: As the instructions set it.
        ran: The commands that were run, as they stand in the file.
    """

    root: Path
    context: Path
    workdir: Path = field(init=False)
    environment: dict[str, str] = field(init=False)
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workdir = self.root
        # Of this machine's environment nothing but where its programs are.
        self.environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def make(self) -> None:
        """Follows the instructions from the stage `packages` on."""
        found = instructions()
        begin = next(place for place, (word, rest) in enumerate(found) if word == "FROM" and rest.endswith("packages"))
        for word, rest in found[begin:]:
            match word:
                case "WORKDIR":
                    self.workdir = Path(self.here(rest))
                    self.workdir.mkdir(parents=True, exist_ok=True)
                case "COPY" if not rest.startswith("--from="):
                    self._copy(*shlex.split(rest))
                case "ENV":
                    for name, value in (pair.split("=", 1) for pair in rest.split()):
                        self.environment[name] = self.here(value).replace("$PATH", self.environment["PATH"])
                case "RUN":
                    for command in re.sub(r"--mount=\S+", "", rest).split("&&"):
                        self._run(command.strip())
                case _:
                    pass

    def here(self, text: str) -> str:
        """A text with the image's paths as they are on this machine."""
        return re.sub(rf"(?<![\w/.-])/(?=(?:{'|'.join(FOLDERS)})\b)", f"{self.root}/", text)

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a command of the image."""
        given = [self.here(part) for part in command]
        return subprocess.run(
            given,
            env={**self.environment, **environment},
            cwd=self.workdir,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _copy(self, *names: str) -> None:
        target = self.workdir / self.here(names[-1])
        target.mkdir(parents=True, exist_ok=True)
        for name in names[:-1]:
            if (self.context / name).is_dir():
                shutil.copytree(self.context / name, target, dirs_exist_ok=True)
            else:
                shutil.copy(self.context / name, target)

    def _run(self, command: str) -> None:
        self.ran.append(command)
        changed = self.here(command)
        if " install " in changed and "pip" in changed:
            # What is to be installed must be there already, in the same versions, or pip says what is missing.
            changed = changed.replace(" install ", " install --no-index --no-build-isolation ")
        # pip comes with the other packages: to unpack one takes longer than all the rest.
        changed = changed.replace(" -m venv ", " -m venv --without-pip ")
        if os.geteuid():
            changed = re.sub(r"--(?:owner|group)=\S+", "", changed)
        done = self.run(["sh", "-c", changed], {})
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        if "-m venv" in command:
            self._lend_packages(Path(changed.split()[-1]))

    def _lend_packages(self, venv: Path) -> None:
        """Lets a new environment see the packages of this one, without this project."""
        lent = self.root / "lent"
        lent.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not path.name.startswith(MINE):
                (lent / path.name).symlink_to(path)
        (packages,) = venv.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(f"{lent}\n")
        pip = venv / "bin" / "pip"
        pip.write_text(f'#!/bin/sh\nexec {shlex.quote(str(venv))}/bin/python3 -m pip "$@"\n')
        pip.chmod(0o755)

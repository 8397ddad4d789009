"""A disk that is full before `generate-repo` has written all: what it says, and what it leaves behind."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.models.custom import echo

from benchmarks.build import model_folder
from benchmarks.serving import BIN, inside

NAME = "disk"
PLACES = 8
"""How many sizes of disk are tried for a model, evenly up to one that is large enough."""

LARGE_KIB = 2**20


@dataclass
class Disk:
    """What came of it.

    Attributes:
        sizes_kib: Of the disks that were too small.
        codes: The exit codes of generate-repo.
        sayings: The last line that each printed.
        wrong: What should not have been, in words.
    """

    sizes_kib: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    sayings: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """For the document."""
        codes = ", ".join(map(str, sorted(set(self.codes))))
        return (
            f"A disk that is full while `generate-repo` writes: {len(self.sizes_kib)} disks, from "
            f"{min(self.sizes_kib, default=0)} to {max(self.sizes_kib, default=0)} KiB, on which the model does not "
            f"fit. Exit codes: {codes}. Runs that left something behind, or did not say that the disk is full: "
            f"{len(self.wrong)}. It says: `{self.sayings[-1] if self.sayings else ''}`"
        )


def measure() -> Disk:
    """Writes a large model and a small one to disks that are full at another place each."""
    found = Disk()
    with tempfile.TemporaryDirectory() as folder:
        place, small = Path(folder) / "disk", Path(folder) / "small"
        place.mkdir()
        echo(small)
        for model, task in ((small, "custom"), (model_folder(), "sentence-embeddings")):
            whole = _run(place, model, task, LARGE_KIB)
            size = int(whole.stdout.rsplit("used ", 1)[1].split()[0])
            for part in range(1, PLACES + 1):
                kib = size * part // (PLACES + 1)
                done = _run(place, model, task, kib)
                told, _, left = done.stdout.rpartition("left:")
                last = [line for line in (told + done.stderr).splitlines() if line.strip() and "used " not in line]
                found.sizes_kib.append(kib)
                found.codes.append(done.returncode)
                found.sayings.append(re.sub(r"(/[^\s/]+)+/", "…/", last[-1] if last else ""))
                if not done.returncode or left.strip() or "No space left" not in found.sayings[-1]:
                    found.wrong.append(f"{kib} KiB: code {done.returncode}, left {left.split()}: {found.sayings[-1]}")
    for wrong in found.wrong:
        print(f"    wrong: {wrong}")
    return found


def _run(place: Path, model: Path, task: str, kib: int) -> subprocess.CompletedProcess[str]:
    """generate-repo on a disk of a size, for its output and for what is temporary; then, what is there."""
    generate = f'"{BIN}/generate-repo" "{model}" --task {task} --name m --output "{place}/out"'
    script = (
        f'mount -t tmpfs -o size={kib}k tmpfs "{place}" && mkdir "{place}/aside" && export TMPDIR="{place}/aside" && '
        f'{{ {generate}; code=$?; }}; echo used $(du -sk "{place}" | cut -f1); '
        f'echo "left:" $(cd "{place}" && find . -mindepth 1 ! -name aside ! -name out); exit $code'
    )
    return subprocess.run([*inside(script)[:-1], script], check=False, capture_output=True, text=True)

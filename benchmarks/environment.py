"""The virtual environments of the peers: each has its own, made from its requirements.txt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.server import UnavailableError

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".venvs"
STAMP = ".requirements"


def programs(peer: str) -> Path:
    """The folder bin/ of a peer's environment, which is built if it is not there or its requirements have changed.

    Raises:
        UnavailableError: Its packages cannot be installed here.
    """
    wanted = (PEERS / peer / "requirements.txt").read_text(encoding="utf-8")
    folder = ENVIRONMENTS / peer
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"building {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run(
            [str(folder / "bin" / "pip"), "install", "--quiet", "--requirement", str(PEERS / peer / "requirements.txt")]
        )
        stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "it said nothing")
        raise UnavailableError(f"Its environment cannot be built: {said.strip()[:300]}")

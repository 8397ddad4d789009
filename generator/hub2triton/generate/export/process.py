"""A process that may take long: watched, limited in time, and ended with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code; below 0 the signal that killed it; None where its time was up.
        last_words: The last line that it wrote to standard error.
    """

    code: int | None
    last_words: str


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    limit_s: float,
    on_line: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a command in a process group of its own, which is killed when its time is up or this one is interrupted.

    Args:
        command: What to run.
        log: The file that gets its standard error.
        limit_s: Seconds that it may take.
        on_line: Called with each line of its standard output.
        environment: Variables besides those of this process.
    """
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however that happens
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 (a pipe)
    reader = threading.Thread(target=_read, args=(process.stdout, on_line), daemon=True)
    reader.start()
    try:
        code: int | None = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(1)
    return Ended(code, _last_line(log))


def say(line: str) -> None:
    """Shows a line of progress."""
    print(f"onnx       {line}", file=sys.stderr, flush=True)  # noqa: T201 (as the commands show what was decided)


def _read(lines: IO[str], on_line: Callable[[str], None]) -> None:
    with contextlib.suppress(ValueError):  # closed meanwhile
        for line in lines:
            on_line(line.rstrip())


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""

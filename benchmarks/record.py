"""Where a run's figures go: a JSON file, a table, and the document that shows it."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.server import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "faults.md"


def keep(name: str, figures: Mapping[str, Any], text: str, folder: Path = RESULTS) -> None:
    """Writes the figures, and what is told of them.

    Args:
        name: Of the run; where the folder is that of the project's results, its place in the document gets the text.
        figures: As JSON.
        text: Markdown.
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    if folder.resolve() == RESULTS.resolve():
        DOCUMENT.write_text(placed(DOCUMENT.read_text(encoding="utf-8"), name, text), encoding="utf-8")
    print(f"\n{text}")


def placed(document: str, name: str, text: str) -> str:
    """A document with a text between the two comments of a name, in place of what stood there.

    Raises:
        LookupError: It has no such place.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise LookupError(f"the document has no place {begin.strip()} … {end}")
    return f"{before}{begin}{text}\n{end}{after}"


def machine() -> str:
    """When, and on what."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    return f"{datetime.now(UTC).date().isoformat()}, {cpu}, {len(os.sched_getaffinity(0))} cores, no GPU"

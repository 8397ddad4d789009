"""Serves the same models with hub2triton and with others, loads them in turn, and writes tables and charts.

`python -m benchmarks [SCENARIO …]`; the results land in benchmarks/results/. Only the ratios of one run mean anything:
machines differ, and are noisy.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import chart, report
from benchmarks.contender import CONTENDERS, with_onnx
from benchmarks.course import Course
from benchmarks.figures import Results
from benchmarks.limit import CORES
from benchmarks.scenario import SCENARIOS, Scenario
from benchmarks.server import ROOT, UnavailableError

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Runs the scenarios that are asked for, or all."""
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"default: all of {', '.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=3, help="the middle one counts (default 3)")
    parser.add_argument("--seconds", type=float, default=7, help="of each kind of round (default 7)")
    parser.add_argument("--only", metavar="NAMES", help=f"by commas, some of {', '.join(names)}")
    parser.add_argument("--no-limit", action="store_true", help="do not seek the machine's limit")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where to write them (default benchmarks/results)"
    )
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else names
    for name in [each for each in given.scenarios if each not in SCENARIOS]:
        parser.error(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    for name in [each for each in wanted if each not in names]:
        parser.error(f"there is no server {name!r}; there are {', '.join(names)}")
    if given.rounds < 1 or given.seconds <= 0:
        parser.error("--rounds and --seconds must be more than 0")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers are stopped too
    for name in given.scenarios or SCENARIOS:
        results = run(SCENARIOS[name], given.rounds, given.seconds, wanted, limit=not given.no_limit)
        write(results, given.results)


def run(scenario: Scenario, rounds: int, seconds: float, wanted: list[str], *, limit: bool) -> Results:
    """One scenario, with the servers that are wanted."""
    build = [sys.executable, "-m", "benchmarks.build", scenario.name]
    built = subprocess.run(build, check=False, cwd=ROOT, stderr=subprocess.PIPE, text=True)  # exporters say a lot there
    if built.returncode:
        raise SystemExit(f"{built.stderr}\nThe model of {scenario.name} cannot be built; what is above says why.")
    results = Results(
        scenario.name, scenario.title, scenario.unit, scenario.agreement, scenario.clients, about(rounds, seconds)
    )
    if limit and scenario.list_size:
        try:
            with_onnx(scenario)
        except UnavailableError as error:
            results.left_out["without a server, the older exporter's graph"] = str(error)
    with tempfile.TemporaryDirectory() as folder:
        course = Course(scenario, rounds, seconds, Path(folder), results)
        course.run([each for each in CONTENDERS if each.name in wanted], alone=limit)
    return results


def write(results: Results, folder: Path) -> None:
    """The raw figures, the tables and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{results.scenario}.json").write_text(json.dumps(results.as_json(), indent=1) + "\n", encoding="utf-8")
    text = report.markdown(results)
    (folder / f"{results.scenario}.md").write_text(text, encoding="utf-8")
    chart.draw(results, folder / f"{results.scenario}.svg")
    print(f"\n{text}")


def about(rounds: int, seconds: float) -> str:
    """When, where and how, in one sentence."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, {cpu}, {CORES} cores, no GPU; one text a request, each client waits for its answer; the middle of "
        f"{rounds} rounds of {seconds:g} s, in which the servers take turns in random order."
    )


if __name__ == "__main__":
    main()

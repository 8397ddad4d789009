"""A long run as curves: memory and descriptors, answers and their times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

STYLES = ("-", "--", ":", "-.", (0, (1, 4)), (0, (5, 5)), (0, (3, 1, 1, 1)))
"""Of lines; they differ on paper too."""


def draw(found: dict[str, Any], path: Path) -> None:
    """Writes an SVG.

    Args:
        found: What soak.measure gave.
        path: Of the file.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "soak"  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    samples, windows = found["samples"], [each for each in found["windows"] if each["rate"]]
    minutes = [each["at"] / 60 for each in samples]
    figure, (memory, rest, times) = pyplot.subplots(3, 1, figsize=(9, 8), sharex=True)
    parts = sorted({part for each in samples for part in each["pss_mib"]})
    for place, part in enumerate(parts):
        held = [each["pss_mib"].get(part, 0.0) for each in samples]
        memory.plot(minutes, held, color="black", linestyle=STYLES[place % len(STYLES)], linewidth=1, label=part)
    memory.set_ylabel("memory (PSS), MiB")
    for name, style in (("descriptors", "-"), ("threads", "--"), ("shared_mib", ":")):
        label = {"shared_mib": "MiB in /dev/shm"}.get(name, name)
        rest.plot(minutes, [each[name] for each in samples], color="black", linestyle=style, linewidth=1, label=label)
    rest.set_ylabel("of all processes")
    for name, style in (("p50_ms", "-"), ("p99_ms", "--"), ("rate", ":")):
        label = {"p50_ms": "p50, ms", "p99_ms": "p99, ms", "rate": "answers in a second"}[name]
        at = [each["at"] / 60 for each in windows]
        times.plot(at, [each[name] for each in windows], color="black", linestyle=style, linewidth=1, label=label)
    times.set_xlabel("minutes")
    for axes in (memory, rest, times):
        axes.set_ylim(bottom=0)
        axes.axvline(found["warm_up_s"] / 60, color="0.6", linewidth=1)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
    memory.set_title(found["about"], fontsize=8)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)

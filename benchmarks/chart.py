"""A run's ratios as bars."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from benchmarks.contender import Kind
from benchmarks.figures import ratio

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Results

FILLS = {Kind.OURS: ("0.35", ""), Kind.PEER: ("white", "///")}
"""Shade and hatching; they differ on paper too."""


def draw(results: Results, path: Path) -> None:
    """Writes an SVG: what each server does for the most clients, against the baseline (or the slowest)."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = results.scenario  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    found = [(each, each.rate(results.most)) for each in results.servers.values()]
    measured = sorted(((each, rate) for each, rate in found if rate), key=lambda pair: pair[1])
    if not measured:
        return
    base = results.baseline or measured[0][0]
    unit = base.rate(results.most) or measured[0][1]
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.42 * len(measured)))
    for place, (each, rate) in enumerate(measured):
        shade, hatch = FILLS[each.kind]
        axes.barh(place, rate / unit, color=shade, hatch=hatch, edgecolor="black", height=0.65)
        axes.text(rate / unit, place, f"  {rate / unit:.2f}", va="center")
    axes.set_yticks(range(len(measured)), [f"{each.title} ({each.precision})" for each, _ in measured])
    limit = ratio(results.limit, unit)
    if limit is not None:
        axes.axvline(limit, color="black", linestyle="--", linewidth=1)
        axes.text(limit, len(measured) - 0.35, "limit of the machine, fp32", ha="center", va="bottom", fontsize=8)
    axes.set_xlim(right=max([rate / unit for _, rate in measured] + ([limit] if limit else [])) * 1.12)
    axes.set_xlabel(f"{results.unit} in a second for {results.most} clients; {base.title} is 1")
    axes.set_title(results.title, pad=18)
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.01, 0.0, textwrap.fill(results.about, 130), fontsize=7, va="top")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)

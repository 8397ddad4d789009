"""A run's results as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contender import Kind
from benchmarks.figures import middle, ratio, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.figures import Figures, Results

ABSENT = "–"  # noqa: RUF001 (a dash, as in any table)


def markdown(results: Results) -> str:
    """All tables of a run."""
    parts = [f"# {results.title}", results.about, _servers(results), _ratios(results)]
    if results.alone:
        parts += ["## Without a server", _alone(results)]
    if "ours-torch" in results.servers and results.scenario == "embeddings":
        parts += ["## Targets", _targets(results)]
    if results.left_out:
        parts += ["## Left out", "\n".join(f"- {title}: {why}" for title, why in results.left_out.items())]
    return "\n\n".join(parts) + "\n"


def _servers(results: Results) -> str:
    most = results.most
    heads = [
        "server",
        "precision",
        *(f"{results.unit}/s, {_clients(clients)}" for clients in results.clients),
        "p50 ms, 1 client",
        f"p50 ms, {_clients(most)}",
        f"p99 ms, {_clients(most)}",
        f"{results.unit}/s, one list",
        "ready s",
        "memory MiB",
        results.agreement,
    ]
    rows = []
    for figures in _sorted(results):
        rates = [number(figures.rate(clients)) for clients in results.clients]
        times = [figures.p50(1), figures.p50(most), middle(figures.p99_ms.get(most))]
        rest = [number(each) for each in (*times, middle(figures.list_rates), figures.ready)]
        held = number(figures.memory_mib, 0)
        rows.append([figures.title, figures.precision, *rates, *rest, held, number(figures.agreement, 4)])
    return table(heads, rows)


def _ratios(results: Results) -> str:
    peer = results.fastest(Kind.PEER)
    ways = {
        results.baseline.title if results.baseline else "": results.baseline,
        f"the fastest fp32 peer ({peer.title})" if peer else "": peer,
    }
    known = {title: figures for title, figures in ways.items() if figures}
    heads = [f"ratio, {_clients(results.most)}", *(f"to {title}" for title in known), "to the machine's limit in fp32"]
    rows = []
    for figures in _sorted(results):
        here = figures.rate(results.most)
        others = [ratio(here, other.rate(results.most)) for other in known.values()]
        rows.append([figures.title, *(number(each, 2) for each in (*others, ratio(here, results.limit)))])
    return table(heads, rows)


def _alone(results: Results) -> str:
    sizes = sorted({size for each in results.alone for size in each.rates})
    heads = ["engine", "precision", "processes", *(f"{results.unit}/s, batch {size}" for size in sizes), "one call, ms"]
    rows = [
        [each.title, each.precision, str(each.instances)]
        + [number(middle(each.rates.get(size))) for size in sizes]
        + [number(middle(each.single_ms))]
        for each in results.alone
    ]
    return table(heads, rows)


def _targets(results: Results) -> str:
    says = {True: "yes", False: "no", None: "not measured"}
    rows = [
        [each.text, ("<= " if each.at_most else ">= ") + number(each.wanted, 2), number(each.found, 2), says[each.met]]
        for each in targets(results)
    ]
    return table(["target", "bound", "found", "reached"], rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; numbers stand on the right, the first column on the left."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(found: float | None, places: int = 1) -> str:
    """With so many places, or a dash."""
    return ABSENT if found is None else f"{found:.{places}f}"


def _clients(count: int) -> str:
    return f"{count} client" if count == 1 else f"{count} clients"


def _sorted(results: Results) -> list[Figures]:
    return sorted(results.servers.values(), key=lambda each: each.rate(results.most) or 0.0, reverse=True)

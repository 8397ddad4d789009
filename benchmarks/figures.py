"""What a run found, and what follows from it: medians, ratios, and the targets they are held against."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Figures:
    """Of one server; each list has one number a round.

    Attributes:
        title: In the tables.
        kind: Whose it is.
        precision: Of its weights and its sums.
        baseline: Whether ratios are to this one.
        rates: Units in a second, by the number of clients.
        p50_ms: The median time of a request, by the number of clients.
        p99_ms: The time that one request of a hundred takes longer than, by the number of clients.
        list_rates: Units in a second of one large request.
        ready_s: Seconds from its start to its first answer, for each start.
        memory_mib: What all of its processes hold after the load (PSS).
        agreement: With the library in fp32; see Scenario.agreement.
        load_ms: CPU time that the load itself took for a request.
    """

    title: str
    kind: Kind
    precision: str = "fp32"
    baseline: bool = False
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50_ms: dict[int, list[float]] = field(default_factory=dict)
    p99_ms: dict[int, list[float]] = field(default_factory=dict)
    list_rates: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    memory_mib: float | None = None
    agreement: float | None = None
    load_ms: list[float] = field(default_factory=list)

    def rate(self, clients: int) -> float | None:
        """Units in a second, in the middle round."""
        return middle(self.rates.get(clients))

    def p50(self, clients: int) -> float | None:
        """Milliseconds, in the middle round."""
        return middle(self.p50_ms.get(clients))

    @property
    def ready(self) -> float | None:
        """Seconds of the quickest start: the others had to read from the disk first."""
        return min(self.ready_s, default=None)


@dataclass
class Alone:
    """Of one way to run the model without a server; each list has one number a round.

    Attributes:
        title: In the tables.
        precision: Of its weights and its sums.
        instances: Processes that share the cores.
        rates: Units in a second, by batch size.
        single_ms: The median of a call with one text, in milliseconds.
    """

    title: str
    precision: str
    instances: int
    rates: dict[int, list[float]] = field(default_factory=dict)
    single_ms: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Units in a second, with the batch size that suits it best."""
        return max((middle(found) or 0.0 for found in self.rates.values()), default=0.0)


@dataclass
class Results:
    """Of one run.

    Attributes:
        scenario: Its name.
        title: Heads the table.
        unit: What is counted.
        agreement: What that figure is.
        clients: How many there are at once, for each kind of round.
        about: When, where and how it ran, in one sentence.
        servers: By name.
        alone: The ways to run the model without a server.
        left_out: By title, the sentence why.
    """

    scenario: str
    title: str
    unit: str
    agreement: str
    clients: tuple[int, ...]
    about: str
    servers: dict[str, Figures] = field(default_factory=dict)
    alone: list[Alone] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The largest number of clients."""
        return max(self.clients)

    @property
    def limit(self) -> float | None:
        """Units in a second that the machine can do in fp32, at most."""
        return max((each.best for each in self.alone if each.precision == "fp32"), default=0.0) or None

    @property
    def single_ms(self) -> float | None:
        """The quickest call with one text in fp32, in milliseconds."""
        found = [middle(each.single_ms) for each in self.alone if each.precision == "fp32" and each.instances == 1]
        return min((each for each in found if each is not None), default=None)

    @property
    def baseline(self) -> Figures | None:
        """The server that ratios are to, if it took part."""
        return next((each for each in self.servers.values() if each.baseline), None)

    def fastest(self, kind: Kind, precision: str = "fp32") -> Figures | None:
        """Of a kind, the one that does most for the most clients."""
        found = [each for each in self.servers.values() if (each.kind, each.precision) == (kind, precision)]
        return max(found, key=lambda each: each.rate(self.most) or 0.0, default=None)

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return asdict(self, dict_factory=_plain)


@dataclass(frozen=True)
class Target:
    """A figure that is aimed at.

    Attributes:
        text: What is wanted.
        found: The figure.
        wanted: Its bound.
        at_most: Whether the bound is an upper one.
    """

    text: str
    found: float | None
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is reached; none if it was not measured."""
        if self.found is None:
            return None
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted


def targets(results: Results) -> list[Target]:
    """What sentence embeddings are meant to reach, and what they do."""
    ours = [each for each in results.servers.values() if each.kind is Kind.OURS]
    exact = [each for each in ours if each.precision == "fp32"]
    most = results.most
    rate = results.fastest(Kind.OURS)
    peer = results.fastest(Kind.PEER)
    int8 = results.fastest(Kind.OURS, "int8")
    here = rate.rate(most) if rate else None
    there = peer.rate(most) if peer else None
    slowest = results.baseline.rate(most) if results.baseline else None
    single = results.single_ms
    p50 = least(each.p50(1) for each in exact)
    large = greatest(middle(each.list_rates) for each in exact)
    found = [
        Target(f"fp32, {most} clients: 0.80 of the machine's limit", ratio(here, results.limit), 0.80),
        Target(f"fp32, {most} clients: 1.6 x the fastest peer", ratio(here, there), 1.6),
        Target(f"fp32, {most} clients: 2.8 x one at a time", ratio(here, slowest), 2.8),
        Target("fp32, list in one request: 0.90 of the machine's limit", ratio(large, results.limit), 0.90),
        Target(
            f"int8, {most} clients: 2.5 x the fastest fp32 peer", ratio(int8.rate(most) if int8 else None, there), 2.5
        ),
    ]
    if single is not None:
        bound = 1.15 * single + 2
        found.append(
            Target(f"fp32, 1 client: p50 of 1.15 x a call's {single:.1f} ms + 2 ms, in ms", p50, bound, at_most=True)
        )
    for engine, seconds in (("onnx", 3), ("torch", 7)):
        figures = results.servers.get(f"ours-{engine}")
        found.append(
            Target(f"{engine}: ready in {seconds} s", figures.ready if figures else None, seconds, at_most=True)
        )
    onnx = results.servers.get("ours-onnx-latency")  # which is one instance
    found.append(Target("onnx: 300 MiB in all, one instance", onnx.memory_mib if onnx else None, 300, at_most=True))
    return found


def ratio(found: float | None, to: float | None) -> float | None:
    """One by the other, if both were measured."""
    return found / to if found is not None and to else None


def middle(found: list[float] | None) -> float | None:
    """The median, if there is anything."""
    return statistics.median(found) if found else None


def greatest(found: Iterable[float | None]) -> float | None:
    """Of those that were measured."""
    return max((each for each in found if each is not None), default=None)


def least(found: Iterable[float | None]) -> float | None:
    """Of those that were measured."""
    return min((each for each in found if each is not None), default=None)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Kind) else value for key, value in items}

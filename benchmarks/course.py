"""A run: the servers come up, are loaded in turn, and are judged by the same load in the same hour."""

from __future__ import annotations

import json
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Alone, Figures, Results
from benchmarks.limit import Limit, limits
from benchmarks.load import BadAnswerError, Load
from benchmarks.server import Server, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.contender import Contender
    from benchmarks.dialect import Dialect
    from benchmarks.scenario import Scenario

STARTS = 2
WARM_UP_S = 2.0
IDLE_S = 2.0
IDLE_CORES = 0.05
"""A server that takes more than this while nobody asks it anything would slow the others down."""

ALONE_S = 3.0
"""The most seconds that one batch size of one way without a server gets in a round."""


@dataclass
class _Entry:
    """A server that takes part.

    Attributes:
        restless: Whether it is up only while it is loaded.
    """

    contender: Contender
    dialect: Dialect
    server: Server
    figures: Figures
    restless: bool = False


@dataclass
class Course:
    """One run of a scenario.

    Attributes:
        scenario: What is measured.
        rounds: How often.
        seconds: How long each kind of round is.
        folder: For what the servers need and say.
        results: What has been found so far.
    """

    scenario: Scenario
    rounds: int
    seconds: float
    folder: Path
    results: Results
    _entries: list[_Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._texts = self.scenario.sent()
        self._reference = json.loads(self.scenario.reference.read_text(encoding="utf-8"))

    def run(self, contenders: Sequence[Contender], *, alone: bool = True) -> None:
        """Measures those that can take part; `alone` says whether to seek the machine's limit too."""
        ways = limits() if alone else ()
        found = {way: Alone(way.title, way.precision, way.instances) for way in ways}
        try:
            for contender in contenders:
                self._enter(contender)
            for entry in self._entries:
                entry.restless = self._restless(entry)
            for turn in range(self.rounds):
                _say(f"round {turn + 1} of {self.rounds}")
                for clients in self.scenario.clients:
                    for entry in random.sample(self._entries, len(self._entries)):
                        self._attempt(entry, clients)
                for way in random.sample(ways, len(ways)):
                    self._alone(way, found, turn)
            for entry in self._entries:
                self._judge(entry)
        finally:
            for entry in self._entries:
                entry.server.stop()
        self.results.alone = [each for each in found.values() if each.rates]

    def _enter(self, contender: Contender) -> None:
        """Prepares and starts a server, or says why it is left out."""
        dialect = contender.dialects.get(self.scenario.task)
        if dialect is None:
            self.results.left_out[contender.title] = "It has nothing for this task."
            return
        _say(f"starting {contender.title}")
        folder = self.folder / contender.name
        folder.mkdir()
        figures = Figures(contender.title, contender.kind, contender.precision, contender.baseline)
        server = None
        try:
            command = contender.prepare(self.scenario, folder)
            server = Server(command, dialect.route, self._body(dialect, 0), folder.with_suffix(".log"))
            for _ in range(STARTS):
                server.stop()
                figures.ready_s.append(server.start())
            self._check(dialect, server.ask(self._body(dialect, 1)), 1)
            self._load(dialect, server).run(clients=max(self.scenario.clients), seconds=WARM_UP_S)
            self.results.servers[contender.name] = figures
            self._entries.append(_Entry(contender, dialect, server, figures))
        except (UnavailableError, BadAnswerError, OSError, ValueError) as error:
            self.results.left_out[contender.title] = " ".join(str(error).split()) or repr(error)
            _say(f"left out: {self.results.left_out[contender.title]}")
            return
        finally:
            if server and contender.name not in self.results.servers:
                server.stop()

    def _restless(self, entry: _Entry) -> bool:
        """Whether it keeps busy unasked; then it is stopped until its turn."""
        before = entry.server.cpu_seconds()
        time.sleep(IDLE_S)
        busy = (entry.server.cpu_seconds() - before) / IDLE_S
        if busy > IDLE_CORES:
            _say(f"{entry.contender.title} takes {busy:.2f} cores when idle: it is up only in its turn")
            entry.server.stop()
        return busy > IDLE_CORES

    def _attempt(self, entry: _Entry, clients: int) -> None:
        """One turn; a server that fails in it is left out from then on."""
        try:
            self._turn(entry, clients)
        except (UnavailableError, BadAnswerError, OSError, ValueError) as error:
            entry.server.stop()
            self._entries.remove(entry)
            del self.results.servers[entry.contender.name]
            why = f"It failed under {clients} clients: {' '.join(str(error).split()) or repr(error)}"
            self.results.left_out[entry.contender.title] = why
            _say(f"{entry.contender.title}: {why}")

    def _turn(self, entry: _Entry, clients: int) -> None:
        figures, load = entry.figures, None
        if not entry.server.up:
            entry.server.start()
            self._load(entry.dialect, entry.server).run(clients=clients, seconds=WARM_UP_S)
        load = self._load(entry.dialect, entry.server)
        found = load.run(clients=clients, seconds=self.seconds)
        figures.rates.setdefault(clients, []).append(found.rate * self.scenario.units)
        figures.p50_ms.setdefault(clients, []).append(found.p50_ms)
        figures.p99_ms.setdefault(clients, []).append(found.p99_ms)
        figures.load_ms.append(found.load_ms)
        _say(f"  {clients:3} clients  {found.rate * self.scenario.units:8.1f} {self.scenario.unit}/s  {figures.title}")
        if clients == max(self.scenario.clients):
            if self.scenario.list_size and entry.dialect.lists:
                figures.list_rates.append(self._list_rate(entry))
            figures.memory_mib = entry.server.memory_mib()
        if entry.restless:
            entry.server.stop()

    def _list_rate(self, entry: _Entry) -> float:
        """Units in a second of one request with many texts."""
        texts = self._texts[: self.scenario.list_size]
        body = entry.dialect.body(texts, self.scenario.parameters)
        began = time.perf_counter()
        answer = entry.server.ask(body)
        took = time.perf_counter() - began
        if len(entry.dialect.read(json.loads(answer))) != len(texts):
            raise BadAnswerError(f"a list of {len(texts)} texts got another number of answers")
        return len(texts) * self.scenario.units / took

    def _alone(self, way: Limit, found: dict[Limit, Alone], turn: int) -> None:
        if way.title in self.results.left_out:
            return
        try:
            rates, single = way.measure(self.scenario, min(self.seconds, ALONE_S), turn)
        except UnavailableError as error:
            self.results.left_out[f"without a server, {way.title}, {way.precision}"] = str(error)
            return
        for batch, rate in rates.items():
            found[way].rates.setdefault(batch, []).append(rate * self.scenario.units)
        found[way].single_ms.append(single)

    def _judge(self, entry: _Entry) -> None:
        """How far its answers are those of the library in fp32."""
        if not entry.server.up:
            entry.server.start()
        answers = [
            entry.dialect.read(json.loads(entry.server.ask(self._body(entry.dialect, number))))[0]
            for number in range(min(len(self._texts), 128))
        ]
        pairs = zip(answers, self._reference, strict=False)
        entry.figures.agreement = statistics.mean(self.scenario.agree(ours, theirs) for ours, theirs in pairs)

    def _load(self, dialect: Dialect, server: Server) -> Load:
        bodies = [self._body(dialect, number) for number in range(len(self._texts))]
        return Load(server.port, dialect.route, bodies, lambda body, number: self._check(dialect, body, number))

    def _body(self, dialect: Dialect, number: int) -> bytes:
        return dialect.body([self._texts[number]], self.scenario.parameters)

    def _check(self, dialect: Dialect, body: bytes, number: int) -> None:
        """Raises BadAnswerError if an answer is not of the kind, or the length, that the library's is."""
        try:
            (found,) = dialect.read(json.loads(body))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadAnswerError(f"an answer of another form: {body[:300].decode(errors='replace')}") from error
        wanted: Any = self._reference[number]
        if type(found) is not type(wanted) or (isinstance(wanted, list) and len(found) != len(wanted)):
            raise BadAnswerError(f"an answer of another kind or length: {str(found)[:300]}")


def _say(text: str) -> None:
    print(text, flush=True)

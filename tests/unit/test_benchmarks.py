"""The pure parts of the benchmark: what follows from the figures, and how it is shown."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from benchmarks import chart, padding, report
from benchmarks.contender import CONTENDERS, Kind
from benchmarks.dialect import INFINITY, KSERVE, Dialect, hugging_face
from benchmarks.figures import Alone, Figures, Results, Target, ratio, targets
from benchmarks.load import BadAnswerError, Load
from benchmarks.scenario import SCENARIOS, cosine
from benchmarks.words import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def figures(title: str, kind: Kind, rate: float, **more: object) -> Figures:
    found = Figures(title, kind, **more)  # type: ignore[arg-type]
    found.rates = {1: [rate / 4], 32: [rate / 2, rate, rate * 9]}
    found.p50_ms = {1: [12.0], 32: [300.0]}
    return found


@pytest.fixture
def results() -> Results:
    return Results(
        scenario="embeddings",
        title="A title",
        unit="texts",
        agreement="cosine",
        clients=(1, 32),
        about="Some day, some machine.",
        servers={
            "one": figures("One at a time", Kind.PEER, 50, baseline=True),
            "peer": figures("A peer", Kind.PEER, 80),
            "ours-torch": figures("Ours, torch", Kind.OURS, 120),
            "ours-onnx": figures("Ours, ONNX", Kind.OURS, 160),
            "ours-int8": figures("Ours, int8", Kind.OURS, 240, precision="int8"),
        },
        alone=[
            Alone("engine", "fp32", 1, {1: [100.0], 8: [150.0, 140.0, 160.0]}, [9.0]),
            Alone("engine", "fp32", 2, {1: [180.0], 8: [200.0]}, [7.0]),
            Alone("engine", "int8", 1, {1: [300.0]}, [3.0]),
        ],
    )


def test_the_limit_is_the_best_in_fp32_by_the_middle_round(results: Results) -> None:
    assert results.limit == 200
    assert results.alone[0].best == 150


def test_a_single_call_is_the_quickest_of_one_process_in_fp32(results: Results) -> None:
    assert results.single_ms == 9


def test_the_fastest_is_of_its_kind_and_precision(results: Results) -> None:
    assert results.fastest(Kind.OURS) is results.servers["ours-onnx"]
    assert results.fastest(Kind.PEER) is results.servers["peer"]
    assert results.fastest(Kind.OURS, "int8") is results.servers["ours-int8"]
    assert results.fastest(Kind.PEER, "int8") is None


def test_targets_are_held_against_the_same_run(results: Results) -> None:
    results.servers["ours-onnx"].memory_mib = 340.0
    results.servers["ours-onnx-latency"] = replace(results.servers["ours-onnx"], memory_mib=310.0)
    results.servers["ours-onnx"].ready_s = [9.0, 2.5]
    found = {target.text: target for target in targets(results)}
    of = {text.split(":")[0] + text.rpartition(" ")[2]: target for text, target in found.items()}
    assert of["fp32, 32 clientslimit"] == Target("fp32, 32 clients: 0.80 of the machine's limit", 160 / 200, 0.80)
    assert of["fp32, 32 clientspeer"].found == 2.0
    assert of["fp32, 32 clientstime"].found == 3.2
    assert of["int8, 32 clientspeer"].found == 3.0
    assert found["onnx: ready in 3 s"].met is True
    assert found["torch: ready in 7 s"].met is None
    assert found["onnx: 300 MiB in all, one instance"].met is False
    (call,) = [target for text, target in found.items() if "p50" in text]
    assert (call.found, call.wanted) == (12.0, 1.15 * 9 + 2)
    assert call.met is True


def test_without_a_measure_there_is_no_ratio() -> None:
    assert ratio(None, 2.0) is None
    assert ratio(2.0, None) is None
    assert ratio(2.0, 0.0) is None
    assert ratio(3.0, 2.0) == 1.5


def test_the_report_holds_every_server_fastest_first(results: Results) -> None:
    results.left_out = {"Another": "It cannot be built here."}
    text = report.markdown(results)
    places = [text.index(f"| {each} |") for each in ("Ours, int8", "Ours, ONNX", "Ours, torch", "A peer")]
    assert places == sorted(places)
    assert "| Ours, ONNX | 3.20 | 2.00 | 0.80 |" in text
    assert "- Another: It cannot be built here." in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    blocks = text.split("\n\n")
    assert lines
    for block in [each for each in blocks if each.startswith("|")]:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_report_of_a_part_says_what_is_missing(results: Results) -> None:
    results.servers = {"ours-onnx": results.servers["ours-onnx"]}
    results.alone = []
    assert "| Ours, ONNX | – |" in report.markdown(results)  # noqa: RUF001


def test_the_raw_results_are_json(results: Results) -> None:
    found = json.loads(json.dumps(results.as_json()))
    assert found["servers"]["ours-int8"]["kind"] == "ours"
    assert found["servers"]["one"]["rates"]["32"] == [25.0, 50, 450]


def test_the_chart_has_a_bar_for_each_server(results: Results, tmp_path: Path) -> None:
    chart.draw(results, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text()
    for each in results.servers.values():
        assert f"{each.title} ({each.precision})" in drawn
    assert "limit of the machine, fp32" in drawn
    assert results.about in drawn


@pytest.mark.parametrize("count", [1, 3])
def test_every_dialect_reads_one_answer_for_each_text(count: int) -> None:
    vectors = [[float(each), 0.5] for each in range(count)]
    texts = [f"text {each}" for each in range(count)]
    by_task = hugging_face()
    assert by_task["sentence-embeddings"].read({"embeddings": vectors if count > 1 else vectors[0]}) == vectors
    assert by_task["text-classification"].read([{"label": text, "score": 1} for text in texts]) == texts
    generated = [{"generated_text": text} for text in texts]
    assert by_task["text-generation"].read(generated if count == 1 else [[each] for each in generated]) == texts
    listed = {"data": [{"embedding": vector, "index": place} for place, vector in enumerate(vectors)]}
    assert INFINITY["sentence-embeddings"].read(listed) == vectors
    scores = {"data": [[{"label": "no", "score": 0.1}, {"label": text, "score": 0.9}] for text in texts]}
    assert INFINITY["text-classification"].read(scores) == texts
    flat = [number for vector in vectors for number in vector]
    rows = {"outputs": [{"datatype": "FP32", "shape": [count, 2], "data": flat}]}
    assert KSERVE["sentence-embeddings"].read(rows) == vectors
    labels = {"outputs": [{"datatype": "BYTES", "shape": [count, 1], "data": texts}]}
    assert KSERVE["text-classification"].read(labels) == texts


def test_each_contender_can_do_a_task_and_has_a_name_of_its_own() -> None:
    tasks = {scenario.task for scenario in SCENARIOS.values()}
    assert len({contender.name for contender in CONTENDERS}) == len(CONTENDERS)
    assert all(contender.dialects.keys() <= tasks for contender in CONTENDERS)
    assert sum(contender.baseline for contender in CONTENDERS) == 1


def test_the_texts_are_always_the_same_and_of_all_lengths() -> None:
    texts = sentences()
    assert texts == sentences()
    assert {len(text.split()) for text in texts} == set(range(5, 61))


def test_the_cosine_of_an_angle() -> None:
    assert cosine([1.0, 0.0], [2.0, 0.0]) == 1
    assert cosine([1.0, 0.0], [0.0, 3.0]) == 0


class _Echo(BaseHTTPRequestHandler):
    """Answers each request with its own text, in two pieces."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
        body = json.dumps({"embeddings": [float(asked)]}).encode()
        self.send_response(500 if asked == "13" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:3])
        self.wfile.flush()
        self.wfile.write(body[3:])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def load(port: int, texts: list[str], found: list[tuple[float, int]]) -> Load:
    dialect: Dialect = hugging_face()["sentence-embeddings"]

    def check(body: bytes, number: int) -> None:
        found.append((dialect.read(json.loads(body))[0][0], number))
        if found[-1][0] != number:
            raise BadAnswerError("another text's answer")

    return Load(port, "/", [dialect.body([text], {}) for text in texts], check)


async def test_the_load_reads_whole_answers_of_the_right_text(port: int) -> None:
    found: list[tuple[float, int]] = []
    texts = [str(each) for each in range(7)]
    for seconds in (0.3, 3.0, 30.0):  # as long as a busy machine needs for one answer
        try:
            round_ = await asyncio.to_thread(load(port, texts, found).run, clients=3, seconds=seconds)
            break
        except BadAnswerError as error:
            if "no request was answered within the round" not in str(error):
                raise
    assert round_.rate > 0
    assert 0 < round_.p50_ms <= round_.p99_ms
    assert found
    assert all(number == asked for number, asked in found)


async def test_the_load_stops_at_a_wrong_answer(port: int) -> None:
    with pytest.raises(BadAnswerError, match="another text"):
        await asyncio.to_thread(load(port, ["4"], []).run, clients=2, seconds=30)


async def test_the_load_stops_at_an_error(port: int) -> None:
    with pytest.raises(BadAnswerError, match="500"):
        await asyncio.to_thread(load(port, ["0", "13"], []).run, clients=2, seconds=30)


def test_what_a_pass_takes_is_found_among_the_times_of_batches() -> None:
    lengths = {"one text": [30], "four of equal length": [30] * 4, "four of other lengths": [10, 20, 30, 60]}
    batches = {name: padding.padded([[1] * length for length in rows]) for name, rows in lengths.items()}
    times = {name: 3 + 0.1 * sum(rows) + 0.05 * (len(rows) * max(rows) - sum(rows)) for name, rows in lengths.items()}
    assert padding.overhead(times, batches) == pytest.approx(3 / 0.05)

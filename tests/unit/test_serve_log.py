"""Lines recorded from tritonserver 2.51 in the wheel nvidia-pytriton 0.7.0, on a machine without a GPU."""

import pytest

from hub2triton.serve.log import Level, LogReader, Record, Writer
from hub2triton.serve.noise import Sieve

START = f"""\
W1123 13:45:55.187062 4237 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory, pinned memory \
pool will not be available: CUDA driver version is insufficient for CUDA runtime version"
I1123 13:45:55.187166 4237 cuda_memory_manager.cc:117] "CUDA memory pool disabled"
E1123 13:45:55.187249 4237 server.cc:241] "CudaDriverHelper has not been initialized."
I1123 13:45:55.187561 4237 server.cc:604]{" "}
+------------------+------+
| Repository Agent | Path |
+------------------+------+
+------------------+------+

Error: Failed to initialize NVML
W1123 13:45:55.189393 4237 metrics.cc:798] "DCGM unable to start: DCGM initialization error"
I1123 13:45:55.192736 4237 grpc_server.cc:2558] "Started GRPCInferenceService at 127.0.0.1:18001"
Signal (15) received.
E1123 13:56:50.762926 4237 main.cc:535] "failed to stop server: Internal - Exit timeout expired. Exiting immediately."
"""

BAD = r"""
I1123 13:45:56.208321 4310 pb_stub.cc:366]  Failed to initialize Python stub: ModuleNotFoundError: No module named 'x'

At:
  /repo/bad/1/model.py(4): <module>
  <frozen importlib._bootstrap>(241): _call_with_frames_removed

E1123 13:45:56.311432 4237 backend_model.cc:692] "ERROR: Failed to create instance: WHY"
E1123 13:45:56.311550 4237 model_lifecycle.cc:642] "failed to load 'bad' version 1: Internal: WHY"
I1123 13:45:56.311568 4237 model_lifecycle.cc:777] "failed to load 'bad'"
printed by a model
""".replace("WHY", r"ModuleNotFoundError: No module named 'x'\n\nAt:\n  /repo/bad/1/model.py(4): <module>\n")

CONFIG = """\
[libprotobuf ERROR /tmp/tritonbuild/protobuf/text_format.cc:337] Error parsing text-format inference.ModelConfig: \
1:17: String literals cannot cross line boundaries.
E1123 13:45:55.543451 4237 model_repository_manager.cc:1460] "Poll failed for model directory 'badcfg': failed to read"
"""


def read(text: str) -> list[Record]:
    reader = LogReader()
    return [record for line in text.splitlines() if (record := reader.read(line))]


def shown(text: str, *, verbose: bool = False, gpu: bool = False, models: tuple[str, ...] = ()) -> list[Record]:
    sieve = Sieve(verbose, gpu, frozenset(models))
    return [kept for record in read(text) if (kept := sieve.shown(record))]


def test_logger_lines_of_a_model_are_unescaped() -> None:
    line = r'W1123 13:45:56.100413 4237 model.py:8] "hello \"you\"\n\tä \\ /x"'
    assert read(line) == [Record(Writer.MODEL, Level.WARN, "model.py", 'hello "you"\n\tä \\ /x')]


def test_text_that_only_looks_quoted_is_kept() -> None:
    assert read(r'I1123 13:45:56.100413 4237 server.cc:8] "a" and \q "b"')[0].text == r'a" and \q "b'


def test_tables_belong_to_triton() -> None:
    records = read(START)
    assert {record.writer for record in records} == {Writer.TRITON}
    assert Record(Writer.TRITON, Level.INFO, "server.cc", "| Repository Agent | Path |") in records


def test_start_and_stop_are_silent_without_a_gpu() -> None:
    assert shown(START) == []


def test_with_a_gpu_its_warnings_are_shown() -> None:
    assert [record.level for record in shown(START, gpu=True)] == [Level.WARN, Level.ERROR, Level.WARN]


def test_verbose_shows_all() -> None:
    assert shown(START + BAD, verbose=True) == read(START + BAD)


def test_a_traceback_is_folded_to_its_first_line_and_shown_once() -> None:
    failed, printed = shown(BAD)
    assert failed.text == "failed to load 'bad' version 1: Internal: ModuleNotFoundError: No module named 'x'"
    assert printed == Record(Writer.MODEL, Level.OUTPUT, "", "printed by a model")


def test_failed_loads_of_watched_models_are_left_to_the_report() -> None:
    assert [record.text for record in shown(BAD, models=("bad",))] == ["printed by a model"]


def test_unquoted_frames_of_a_stub_are_no_output_of_the_model() -> None:
    frames = [record for record in read(BAD) if "frozen" in record.text and record.place == "pb_stub.cc"]
    assert [record.writer for record in frames] == [Writer.TRITON]


def test_parser_errors_of_protobuf_are_errors_of_triton() -> None:
    protobuf, poll = read(CONFIG)
    assert (protobuf.writer, protobuf.level, protobuf.place) == (Writer.TRITON, Level.ERROR, "libprotobuf")
    assert shown(CONFIG, models=("badcfg",)) == []
    assert shown(CONFIG) == [poll]


@pytest.mark.parametrize("line", ["| a table of the model's |", "  indented", "E1123 not a header", '{"json": 1}'])
def test_what_a_model_prints_is_passed_on(line: str) -> None:
    assert read(line) == [Record(Writer.MODEL, Level.OUTPUT, "", line)]

from pathlib import Path

import pytest

from hub2triton.serve.reason import config_error, full_text, one_line

PREFIX = "load failed for model 'bad': version 1 is at UNAVAILABLE state: Internal: "
FRAMES = (
    "\n\nAt:\n  /repo/bad/1/model.py(4): <module>\n  <frozen importlib._bootstrap>(241): _call_with_frames_removed\n;\n"
)

TRACEBACK = """Traceback (most recent call last):
  File "model.py", line 3
    raise OSError
huggingface_hub.errors.EntryNotFoundError: 404: no such file
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"{PREFIX}ModuleNotFoundError: No module named 'x'{FRAMES}", "ModuleNotFoundError: No module named 'x'"),
        (f"{PREFIX}ValueError: line one\nline two{FRAMES}", "ValueError: line one"),
        (f"{PREFIX}ImportError: \nThis needs Pillow.\nInstall it.{FRAMES}", "ImportError: This needs Pillow."),
        (
            f"{PREFIX}TritonModelException: {TRACEBACK}{FRAMES}",
            "huggingface_hub.errors.EntryNotFoundError: 404: no such file",
        ),
        (f"{PREFIX}Internal: Stub process 'bad_0_0' is not healthy.;\n", "its process ended while loading"),
        ("failed to load 'x', failed to poll from model repository", "failed to load 'x', failed to poll"),
        ("", "Triton gives no reason"),
    ],
)
def test_one_line_names_what_is_wrong(message: str, expected: str) -> None:
    line = one_line(message)
    assert line.startswith(expected)
    assert "\n" not in line


def test_full_text_keeps_the_frames() -> None:
    assert full_text(f"{PREFIX}ValueError: a{FRAMES}").startswith("ValueError: a\n\nAt:\n  /repo/bad/1/model.py(4)")


def test_syntax_of_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.pbtxt"
    config.write_text('backend: "python"\nmax_batch_size: 4\n')
    assert config_error(config) is None
    config.write_text('backend: "python\nfoo')
    assert (config_error(config) or "").startswith("config.pbtxt 1:10")

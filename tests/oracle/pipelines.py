"""Answers of transformers' own pipelines, by the version that still had them. Run by `record.py`, in another Python.

Reads cases from the standard input: a JSON list of objects with `task`, the `model`'s folder, `inputs` and
`parameters`. Writes the list of their answers to the standard output.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import transformers


@functools.cache
def pipeline(task: str, model: str) -> Any:
    return transformers.pipeline(task, model=model, device="cpu")


def main() -> None:
    transformers.logging.set_verbosity_error()
    cases = json.load(sys.stdin)
    answers = [pipeline(case["task"], case["model"])(case["inputs"], **case["parameters"]) for case in cases]
    json.dump({"version": transformers.__version__, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()

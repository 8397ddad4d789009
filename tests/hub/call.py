"""Calls hub2triton.generate.hub in a process of its own, and writes what came of it as JSON to the file CALL_RESULT.

huggingface_hub reads HF_ENDPOINT and HF_HOME when it is imported, so every test gets a fresh process. Reads one call
from standard input: {"do": "resolve" | "download" | "fetch" | "several", ...arguments}; fetch resolves, then
downloads; several makes one call after the other. With "patient": false, the waits between two attempts are skipped.
A HubError or UsageError is written as such; any other error is a bug, and ends in a traceback.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from hub2triton.error import Hub2TritonError
from hub2triton.generate import hub
from hub2triton.generate.source import Origin, Source, SourceFile


def main() -> None:
    call = json.load(sys.stdin)
    if not call.pop("patient", True):
        time.sleep = lambda _: None
    result = _do(**call)
    # In one piece, and apart from anything else that is printed.
    with Path(os.environ["CALL_RESULT"]).open("w") as file:
        json.dump(result, file)


def _do(do: str, **call: Any) -> dict[str, Any]:
    functions = {"resolve": _resolve, "download": _download, "fetch": _fetch, "several": _several}
    try:
        return functions[do](**call)
    except Hub2TritonError as error:
        return {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def _several(calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"results": [_do(**call) for call in calls]}


def _resolve(model_id: str, **options: Any) -> dict[str, Any]:
    source = hub.resolve(model_id, **_defaults(options))
    return {**dataclasses.asdict(source), "origin": source.origin.value}


def _download(source: dict[str, Any], paths: list[str], **options: Any) -> dict[str, Any]:
    files = tuple(SourceFile(**file) for file in source["files"])
    rebuilt = Source(**{**source, "origin": Origin(source["origin"]), "files": files})
    options = _defaults(options)
    del options["revision"]
    return {"folder": str(hub.download(rebuilt, paths, **options))}


def _fetch(model_id: str, paths: list[str], **options: Any) -> dict[str, Any]:
    options = _defaults(options)
    source = hub.resolve(model_id, **options)
    del options["revision"]
    return {"folder": str(hub.download(source, paths, **options)), "revision": source.revision}


def _defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {"revision": None, "token": None, "offline": False, **options}


if __name__ == "__main__":
    main()

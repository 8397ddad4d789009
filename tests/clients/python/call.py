"""Calls methods of huggingface_hub's InferenceClient: a JSON list of {url, method, args} on stdin, outcomes on stdout.

{"$file": base64} stands for bytes, in the arguments and in the outcomes. `--async` calls AsyncInferenceClient. It is a
program of its own, so that versions of huggingface_hub can be called that cannot be imported beside this project.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import sys
from typing import Any

import huggingface_hub


def bytes_in(value: Any) -> Any:
    """Arguments with bytes in the place of their base64."""
    if isinstance(value, dict):
        return base64.b64decode(value["$file"]) if "$file" in value else {k: bytes_in(v) for k, v in value.items()}
    return [bytes_in(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """An answer as JSON: the client's own objects, arrays and images become what they hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "save"):
        stream = io.BytesIO()
        value.save(stream, format="PNG")
        return {"$file": base64.b64encode(stream.getvalue()).decode()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


async def outcome(client: type, url: str, method: str, args: dict[str, Any]) -> dict[str, Any]:
    """The answer of one call, or its error."""
    try:
        found = getattr(client(model=url, timeout=120), method)(**bytes_in(args))
        return {"answer": plain(await found if inspect.isawaitable(found) else found)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


async def main() -> None:
    """Calls one after the other."""
    client = huggingface_hub.AsyncInferenceClient if "--async" in sys.argv else huggingface_hub.InferenceClient
    calls = json.load(sys.stdin)
    print(json.dumps([huggingface_hub.__version__, [await outcome(client, **call) for call in calls]]))


if __name__ == "__main__":
    asyncio.run(main())

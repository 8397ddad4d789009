"""The code that a model brings along for its own endpoint: handler.py, or pipeline.py as it was called before."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import io
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import triton_python_backend_utils as pb_utils
from PIL import Image

from . import json_text
from .error import InvalidInput, trace
from .image import FORMATS, MAX_PIXELS, decode
from .response import Response, of

if TYPE_CHECKING:
    from .settings import Settings

ENTRIES = (("handler", "EndpointHandler"), ("pipeline", "PreTrainedPipeline"))
"""A module's name and its class: the first that is there counts."""


class EndpointError(Exception):
    """The model's own code cannot be loaded, or tries to end the process."""


class Endpoint:
    """An instance of the model's own class, made once."""

    def __init__(self, settings: Settings) -> None:
        """Imports the code and calls its class with the model's folder.

        Raises:
            EndpointError: That fails; the text says in one line why.
        """
        folder = settings.weights()
        self.max_pixels = settings.positive("max_image_pixels", MAX_PIXELS)
        self._loop = asyncio.new_event_loop()  # one for all requests: what is opened in it stays usable
        module, self._class_name = _entry(folder)
        sys.path.insert(0, folder)  # so that it can import the files beside it
        self._whole = module == ENTRIES[0][0]
        try:
            made = getattr(_imported(module, folder), self._class_name)(folder)
        except (Exception, SystemExit) as error:
            pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
            raise EndpointError(f"the model's own {module}.py cannot be loaded: {_told(error)}") from None
        if not callable(made):
            raise EndpointError(f"the model's own {module}.py cannot be loaded: {self._class_name} has no __call__")
        self._call = made

    def answer(self, data: dict[str, Any]) -> Response:
        """Calls it with the whole of a request.

        Args:
            data: All that the body held; a pipeline.py gets no more than its `inputs`.

        Raises:
            InvalidInput: The code raised something; the text is what it said.
            EndpointError: It tried to end the process.
        """
        if not self._whole and "inputs" not in data:
            raise InvalidInput('the body has no key "inputs", which is all that this model\'s pipeline.py gets')
        try:
            return of(self._result(data if self._whole else data["inputs"]))
        except SystemExit as error:
            raise EndpointError(f"its code asked to end the process ({_told(error)})") from None
        except Exception as error:
            pb_utils.Logger.log_error(trace(error))
            raise InvalidInput(str(error) or type(error).__name__) from None

    def request(self, text: bytes, body: bytes) -> dict[str, Any]:
        """What the code is called with.

        Args:
            text: A JSON object; empty for one without keys.
            body: A body that was no JSON; it becomes the `inputs`, an image in RGB and anything else as it is. Empty
                where there was none.

        Raises:
            InvalidInput: No JSON object, or an image that is damaged or too large.
        """
        data = json_text.parsed(text or b"{}", "input 'request_json'")
        if not isinstance(data, dict):
            raise InvalidInput("input 'request_json' must be a JSON object")
        if body:
            data["inputs"] = decode(body, self.max_pixels) if _is_image(body) else body
        return data

    def _result(self, data: Any) -> Any:
        found = self._call(data)
        if inspect.isawaitable(found):
            found = self._loop.run_until_complete(_awaited(found))
        if inspect.isasyncgen(found):
            found = self._loop.run_until_complete(_collected(found))
        return _joined(list(found)) if inspect.isgenerator(found) else found


def _entry(folder: str) -> tuple[str, str]:
    found = next((entry for entry in ENTRIES if Path(folder, f"{entry[0]}.py").is_file()), None)
    if found is None:
        raise EndpointError("the model has neither a handler.py nor a pipeline.py")
    return found


def _imported(name: str, folder: str) -> Any:
    # By its path: another package may have a module of that name too.
    spec = importlib.util.spec_from_file_location(name, Path(folder, f"{name}.py"))
    assert spec is not None  # noqa: S101 (a .py file has one)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # what it pickles, and its dataclasses, are looked up there
    spec.loader.exec_module(module)
    return module


def _is_image(body: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS):
            return True
    except Exception:  # Pillow raises all kinds for what only begins like an image
        return False


async def _awaited(found: Any) -> Any:
    return await found


async def _collected(found: Any) -> Any:
    return _joined([item async for item in found])


def _joined(items: list[Any]) -> Any:
    """What a generator gave: texts and bytes as one, anything else as a list."""
    for kind in (str, bytes):
        if items and all(isinstance(item, kind) for item in items):
            return kind().join(items)
    return items


def _told(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

"""The templates: where they are, and how they are filled in."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

RUNTIME = "hf_runtime"


@cache
def folder() -> Path:
    """The folder of templates: inside the package in an installed wheel, at the top level in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for place in (package / "templates", package.parents[1] / "templates"):
        if (place / RUNTIME).is_dir():
            return place
    raise RuntimeError("hub2triton is installed without its templates; reinstall it")


def render(name: str, **values: Any) -> str:
    """Fills in a template; a value that it names and that is not given is an error."""
    return _environment().get_template(name).render(**values)


def runtime_files(model: str) -> dict[str, bytes]:
    """The part of the runtime that a model.py uses, by path from the folder of templates.

    Args:
        model: The text of model.py; what it imports is followed from module to module.
    """
    found: dict[str, bytes] = {}
    wanted = [f"{RUNTIME}/__init__.py", *_imports(model, "")]
    while wanted:
        path = wanted.pop()
        if path not in found:
            found[path] = (folder() / path).read_bytes()
            wanted += _imports(found[path].decode(), f"{RUNTIME}/")
    return dict(sorted(found.items()))


def _imports(text: str, package: str) -> list[str]:
    """The files of the runtime that a file imports relatively; `package` is the folder it lies in."""
    files = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = package + (node.module or "").replace(".", "/")
            candidates = [f"{module.rstrip('/')}.py", *(f"{module.rstrip('/')}/{name.name}.py" for name in node.names)]
            files += [path for path in candidates if (folder() / path).is_file()]
    return files


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (what comes out is Python and protobuf text, never HTML)
    )
    environment.filters["quoted"] = lambda value: json.dumps(str(value))
    return environment

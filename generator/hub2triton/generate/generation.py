"""From options to a model's folder: the steps of generate-repo, each usable by itself."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from hub2triton.error import UsageError
from hub2triton.generate import difference, facts, hub, local, manifest, repository
from hub2triton.generate import plan as planning
from hub2triton.generate.options import Weights
from hub2triton.generate.render import WEIGHTS, render
from hub2triton.generate.source import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.generate.difference import Difference
    from hub2triton.generate.options import Options
    from hub2triton.generate.plan import Plan
    from hub2triton.generate.source import Source

MEGABYTE = 1e6


def plan(options: Options) -> Plan:
    """Finds the model and decides everything; downloads only the small files that the decisions need."""
    source = _resolve(options)
    small = sorted(source.paths & set(facts.FILES))
    return planning.make(options, source, facts.read(_fetch(options, source, small)))


def would_write(plan: Plan) -> list[str]:
    """What `write` would write, for people."""
    target = _target(plan)
    size = sum(file.size or 0 for file in plan.files) / MEGABYTE
    lines = [f"would write {target}/{path}" for path in (*render(plan), manifest.FILE)]
    if plan.options.weights is Weights.HUB:
        return [*lines, f"would leave {len(plan.files)} files ({size:.1f} MB) on the Hub until the model is loaded"]
    return [*lines, f"would put {len(plan.files)} files ({size:.1f} MB) into {target}/{WEIGHTS}/"]


def compare(plan: Plan) -> Difference:
    """How the model's folder differs from the plan."""
    return difference.compare(_target(plan), _digests(_contents(plan)))


def write(plan: Plan, *, force: bool) -> list[str]:
    """Writes the model's folder, unless it is there already; returns what to tell the user.

    Raises:
        UsageError: It would overwrite or remove something of the user's, and `force` is not set.
        HubError: A file cannot be downloaded.
    """
    target = _target(plan)
    contents = _contents(plan)
    digests = _digests(contents)
    found = difference.compare(target, digests)
    _guard(target, found, force=force)
    edited = f" (kept as you edited them: {', '.join(found.edited)})" if found.edited and not force else ""
    if found.none and manifest.load(target) and not (force and (found.edited or found.foreign)):
        return [f"nothing changed: {target} is up to date{edited}", *_next_steps(plan)]
    record = manifest.Manifest.of(plan, digests).to_json().encode()
    keep = () if force else (*found.foreign, *found.edited)
    link = plan.options.weights is Weights.LINK and plan.source.origin is Origin.HUB
    repository.write(target, {**contents, manifest.FILE: record}, keep, link=link)
    return [f"wrote {target}: {len(contents) + 1} files, {_size(contents):.1f} MB{edited}", *_next_steps(plan)]


def _resolve(options: Options) -> Source:
    path = Path(options.model)
    if path.is_dir():
        if options.revision is not None:
            raise UsageError(f"--revision is for models on the Hub, and {options.model} is a local directory")
        return local.resolve(path)
    if path.exists() or options.model.startswith((".", "/", "~")):
        raise UsageError(f"{options.model} is no directory; name a directory with a model in it, or a Hub id")
    return hub.resolve(options.model, revision=options.revision, token=options.token, offline=options.offline)


def _fetch(options: Options, source: Source, paths: Sequence[str]) -> Path:
    if source.root is not None:
        return source.root
    return hub.download(source, paths, token=options.token, offline=options.offline)


def _contents(plan: Plan) -> dict[str, bytes | Path]:
    contents: dict[str, bytes | Path] = dict(render(plan))
    if plan.options.weights is not Weights.HUB:
        paths = [file.path for file in plan.files]
        folder = _fetch(plan.options, plan.source, paths)
        contents |= {f"{WEIGHTS}/{path}": folder / path for path in paths}
    return contents


def _digests(contents: dict[str, bytes | Path]) -> dict[str, str]:
    return {
        path: manifest.digest(content) if isinstance(content, bytes) else manifest.file_digest(content)
        for path, content in contents.items()
    }


def _guard(target: Path, found: Difference, *, force: bool) -> None:
    if force:
        return
    if target.exists() and manifest.load(target) is None and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target} exists and was not written by generate-repo; choose another --name or --output, "
            "or let --force replace it"
        )
    if found.conflicts:
        raise UsageError(
            f"these files of {target} were edited or added by hand and would be overwritten or removed: "
            f"{', '.join(found.conflicts)}. Keep a copy of your changes and use --force, or choose another --name"
        )


def _target(plan: Plan) -> Path:
    return plan.options.output / plan.name


def _size(contents: dict[str, bytes | Path]) -> float:
    sizes = (len(content) if isinstance(content, bytes) else content.stat().st_size for content in contents.values())
    return sum(sizes) / MEGABYTE


def _next_steps(plan: Plan) -> list[str]:
    # Never run from here: it is for the user to say what is installed where.
    install = [f"  pip install -r {shlex.quote(str(_target(plan) / 'requirements.txt'))}"] if plan.requirements else []
    return [
        "next:",
        *install,
        f"  serve-repo {shlex.quote(str(plan.options.output))}",
        f"  curl localhost:8080/models/{plan.name} {plan.spec.example_options()}",
    ]

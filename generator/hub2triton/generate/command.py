"""The command generate-repo."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hub2triton import __version__
from hub2triton.arguments import Parser
from hub2triton.error import Hub2TritonError, UsageError
from hub2triton.generate.options import Device, DType, Exporter, Options, Tuning, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

DRIFT = 1
INTERRUPTED = 130

EPILOG = """\
exit codes: 0 done or nothing to do, 1 --check found a difference, 2 usage, 3 the Hub does not give the model,
4 the model does not fit the task, or its weights are pickles, 5 export failed, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = _parser()
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)  # so that a stopped run cleans up behind itself
    try:
        if given.list_tasks:
            _list_tasks()
            return 0
        if given.model is None:
            parser.error("name a model: a Hub id such as sentence-transformers/all-MiniLM-L6-v2, or a directory")
        return _generate(_options(given), check=given.check, dry_run=given.dry_run, force=given.force)
    except Hub2TritonError as error:
        print(f"generate-repo: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a file of the model's that cannot be read, or a path too long to be one
        print(f"generate-repo: {error}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("\ngenerate-repo: interrupted; nothing was written. Downloads go on where they stopped.", file=sys.stderr)
        return INTERRUPTED


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _generate(options: Options, *, check: bool, dry_run: bool, force: bool) -> int:
    from hub2triton.generate import generation

    plan = generation.plan(options)
    for decision in plan.decisions:
        print(f"{decision.label:<10} {decision.value:<44} {decision.reason}")
    if dry_run:
        print("\n" + "\n".join(generation.would_write(plan)))
        return 0
    if check:
        difference = generation.compare(plan)
        print("\n" + ("\n".join(difference.lines()) or "up to date"))
        return DRIFT if difference.lines() else 0
    result = generation.write(plan, force=force)
    print("\n" + "\n".join(result))
    return 0


def _list_tasks() -> None:
    from hub2triton import tasks

    for name in tasks.names():
        spec = tasks.find(name)
        assert spec is not None  # noqa: S101 (a name of the registry)
        print(f"{name:<30} {spec.summary}")
        if spec.aliases:
            print(f"{'':<30} also: {', '.join(spec.aliases)}")


def _options(given: argparse.Namespace) -> Options:
    token = os.environ.get(given.token_env) if given.token_env else None
    if given.token_env and not token:
        raise UsageError(f"--token-env {given.token_env}: there is no such environment variable, or it is empty")
    return Options(
        model=given.model,
        output=given.output,
        task=given.task,
        revision=given.revision,
        name=given.name,
        device=Device(given.device),
        dtype=DType(given.dtype),
        max_batch_size=given.max_batch_size,
        instances=given.instances,
        queue_delay_us=given.queue_delay_us,
        weights=Weights(given.weights),
        token=token,
        offline=given.offline,
        trust_remote_code=given.trust_remote_code,
        allow_pickle=given.allow_pickle,
        onnx=given.onnx,
        exporter=Exporter(given.exporter),
        onnx_timeout_s=given.onnx_timeout,
        optimum_python=given.optimum_python,
        optimize=None if given.optimize is None else Tuning(given.optimize),
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="generate-repo",
        description="Makes a Triton model repository of a Hugging Face model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="a Hub id, or the path of a local directory")
    add("--task", help="what the model is to do (default: the Hub's metadata or the model's own files decide)")
    add("--revision", help="branch, tag or commit on the Hub; always pinned to the commit (default: main)")
    add("--name", help="the model's name in Triton (default: from its id)")
    add("--output", type=Path, default=Path("model_repository"), help="the model repository (default: %(default)s)")
    add(
        "--device",
        choices=[d.value for d in Device],
        default="auto",
        help="default: %(default)s, a GPU if there is one",
    )
    add(
        "--dtype",
        "--precision",
        choices=[d.value for d in DType],
        default="auto",
        help="default: %(default)s, fp32 on a CPU and with --onnx; int8 is for --onnx alone",
    )
    add("--max-batch-size", type=_positive, metavar="ROWS", help="rows that Triton merges up to (default: the task's)")
    add("--instances", type=_positive, help="processes per device, each with the weights (default: 1)")
    add(
        "--optimize",
        choices=[tuning.value for tuning in Tuning],
        help="divide a CPU's cores: one instance on all of them, or one instance a core (default: one instance)",
    )
    add("--queue-delay-us", type=_not_negative, default=0, metavar="US", help="wait for more requests (default: 0)")
    add(
        "--weights",
        choices=[w.value for w in Weights],
        default="link",
        help="how the model's files get there: hard links to the Hub's cache, copies (always so for a local "
        "directory), or left on the Hub until the model is loaded (default: %(default)s)",
    )
    add("--onnx", action="store_true", help="serve from an ONNX graph by onnxruntime, compared with torch before")
    add(
        "--exporter",
        choices=[e.value for e in Exporter],
        default="auto",
        help="where the graph comes from: the Hub's published files, transformers' exporter, or optimum in an "
        "environment of its own (default: %(default)s, the Hub's where they fit, else transformers)",
    )
    add(
        "--onnx-timeout",
        type=_positive,
        default=1800,
        metavar="SECONDS",
        help="the most that making and comparing the graph may take (default: %(default)s)",
    )
    add(
        "--optimum-python",
        type=Path,
        metavar="PATH",
        help="the python of an environment with optimum-onnx, for --exporter optimum (default: one is made)",
    )
    add(
        "--token-env",
        metavar="NAME",
        help="environment variable with a Hub token (default: as huggingface_hub finds it)",
    )
    add("--offline", action="store_true", help="use only what is in the Hub's cache")
    add("--trust-remote-code", action="store_true", help="let the model's own Python code run")
    add("--allow-pickle", action="store_true", help="convert weights that the model has as pickles only (*.bin)")
    add("--dry-run", action="store_true", help="show the plan and write nothing")
    add("--check", action="store_true", help="write nothing; exit 1 if the repository differs from the plan")
    add("--force", action="store_true", help="overwrite edited files, and remove files that were not written from here")
    add("--list-tasks", action="store_true", help="list the tasks and exit")
    add("--version", action="version", version=f"hub2triton {__version__}")
    return parser


def _positive(text: str) -> int:
    return _whole_number(text, 1)


def _not_negative(text: str) -> int:
    return _whole_number(text, 0)


def _whole_number(text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text!r}")
    return int(text)

"""The command `serve-repo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hub2triton import collector
from hub2triton.error import Hub2TritonError, UsageError
from hub2triton.log_format import LogFormat
from hub2triton.serve.options import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.serve.options import Options


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `serve-repo`.

    Args:
        argv: Arguments without the program's name; None for the process's own.

    Returns:
        The exit code: 0 when it was asked to stop, otherwise the code of the error's kind.
    """
    log_format = LogFormat.TEXT
    try:
        options = parse(argv)
        log_format = options.log_format
        serve(options)
    except Hub2TritonError as error:
        print(_last_words(error, log_format), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # before anything was started; from then on a signal ends the run in order
        return 0
    return 0


def serve(options: Options, shim: Sequence[str] | None = None) -> None:
    """Serves a repository until a signal asks to stop.

    Args:
        options: What to serve, and where.
        shim: The shim's command; None for the project's own.

    Raises:
        UsageError: The options do not fit the repository or each other.
        ServeError: Serving cannot start, or has ended by itself.
    """
    # Imported late: --help must not wait for gRPC.
    import asyncio
    import os

    from hub2triton.serve import port
    from hub2triton.serve.json_report import JsonReport
    from hub2triton.serve.report import Report
    from hub2triton.serve.repository import find_models
    from hub2triton.serve.supervisor import Supervisor
    from hub2triton.serve.tritonserver import find_tritonserver
    from hub2triton.shim import keys
    from hub2triton.shim.command import API_KEY

    try:
        if options.shim:
            collector.check(os.environ)
            keys.read(",".join((os.environ.get(API_KEY, ""), *options.api_keys)), options.api_key_file)
        else:  # Triton has what it needs
            collector.endpoint(os.environ)
    except (collector.CollectorError, keys.KeysError) as error:
        raise UsageError(f"{error}.") from error
    models = find_models(options.repository, options.models)
    installation = find_tritonserver(options.tritonserver)
    port.check(port.ports(options))
    kind = JsonReport if options.log_format is LogFormat.JSON else Report
    report = kind(sys.stdout, verbose=options.verbose)

    async def run() -> None:
        await Supervisor(options, installation, models, report, shim).run()

    asyncio.run(run())


def _last_words(error: Hub2TritonError, log_format: LogFormat) -> str:
    if log_format is LogFormat.TEXT:
        return f"serve-repo: {error}"
    from hub2triton.log_line import Severity, line

    return line(Severity.ERROR, "serve-repo", str(error)).decode().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())

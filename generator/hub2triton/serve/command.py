"""The command `serve-repo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hub2triton.error import Hub2TritonError
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
    try:
        serve(parse(argv))
    except Hub2TritonError as error:
        print(f"serve-repo: {error}", file=sys.stderr)
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

    from hub2triton.serve import port
    from hub2triton.serve.report import Report
    from hub2triton.serve.repository import find_models
    from hub2triton.serve.supervisor import Supervisor
    from hub2triton.serve.tritonserver import find_tritonserver

    models = find_models(options.repository, options.models)
    installation = find_tritonserver(options.tritonserver)
    port.check(port.ports(options))
    report = Report(sys.stdout, verbose=options.verbose)

    async def run() -> None:
        await Supervisor(options, installation, models, report, shim).run()

    asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())

"""Asks the container's own endpoint for its health: exits 0 while a model can be asked, else 1 with the reason."""

from __future__ import annotations

import http.client
import os
import sys

from entrypoint import port

TIMEOUT_S = 4  # less than Docker's own limit in the Dockerfile, so that the reason is told


def main(number: str) -> int:
    """Asks the endpoint at this port of this machine; returns the exit code."""
    # Not urllib: it would ask the proxy that the environment may name.
    connection = http.client.HTTPConnection("127.0.0.1", int(number), timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"no answer at port {number}: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"/health answered {status}\n")
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main(port(os.environ)))

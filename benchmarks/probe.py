"""Asks for a server's health ten times a second, in a process of its own: `python -m benchmarks.probe PORT SECONDS`.

Prints a line of JSON: how many answers there were of each status, and their times in milliseconds.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter

EVERY_S = 0.1
LATE_S = 10.0


def probe(port: int, seconds: float) -> dict[str, object]:
    """Asks until the time is over; as load balancers do, on a new connection each time."""
    statuses: Counter[int] = Counter()
    times = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LATE_S)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
        except OSError:
            statuses[0] += 1
        finally:
            connection.close()
        times.append((time.monotonic() - began) * 1000)
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
    return {"statuses": statuses, "times_ms": times}


if __name__ == "__main__":
    print(json.dumps(probe(int(sys.argv[1]), float(sys.argv[2]))))

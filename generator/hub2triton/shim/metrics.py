"""One Prometheus page: the shim's own figures, and Triton's behind them."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PENDING = re.compile(r"^nv_inference_pending_request_count\{[^}]*\} (\d+)", re.MULTILINE)
TIMEOUT_S = 2.0


@dataclass
class Metrics:
    """Counts what passes through the shim.

    Attributes:
        triton_url: Where Triton tells its own figures; None leaves them out.
    """

    triton_url: str | None
    in_flight: int = 0
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)

    def count(self, model: str, status: int) -> None:
        """Notes an answered request."""
        self.answered[model, status] += 1

    async def page(self) -> str:
        """The page in Prometheus' text format.

        The two series without a comment have the names and the form of Hugging Face's own container.
        """
        triton = await asyncio.to_thread(_fetch, self.triton_url) if self.triton_url else ""
        waiting = sum(int(count) for count in PENDING.findall(triton))
        lines = [
            f"inf_batch_current_size {self.in_flight}",
            f"inf_queue_size {waiting}",
            "# HELP hub2triton_requests_total Requests answered, by model and HTTP status.",
            "# TYPE hub2triton_requests_total counter",
        ]
        for (model, status), count in sorted(self.answered.items()):
            lines.append(f'hub2triton_requests_total{{model="{model}",status="{status}"}} {count}')
        return "\n".join(lines) + "\n" + triton


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 (an address of the operator's)
            text: str = response.read().decode()
            return text
    except OSError as error:
        return f"# Triton's metrics at {url} cannot be read: {error}\n"

"""The id of a request: it stands in the answer's headers, in the log and in traces."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "x-request-id"
GIVEN_IN = (HEADER, "x-amzn-trace-id")
LONGEST = 128
"""Characters; of a longer one, its beginning counts."""

UNPRINTABLE = re.compile(r"[^ -~]+")


def of(headers: Mapping[str, str]) -> str:
    """The caller's own id of the request, as far as it is printable ASCII and not overlong; else a new one."""
    given = next((headers[name] for name in GIVEN_IN if headers.get(name)), "")
    return UNPRINTABLE.sub("", given)[:LONGEST].strip() or str(uuid.uuid4())

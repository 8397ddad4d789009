"""JSON that a request holds."""

from __future__ import annotations

import json
from typing import Any

from .error import InvalidInput


def parsed(text: str | bytes, what: str) -> Any:
    """The value of a text.

    Args:
        text: As it was sent.
        what: How the caller calls it, for the error.

    Raises:
        InvalidInput: It is not JSON, or names half of a surrogate pair, which no text can hold.
    """
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} is not valid Unicode: it holds a lone surrogate") from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and endless nesting
        raise InvalidInput(f"{what} is not valid JSON: {error}") from None
    return found

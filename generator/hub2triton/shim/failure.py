"""Everything that can go wrong with a request, as the HTTP answer it becomes."""

from __future__ import annotations

RETRY_AFTER_S = 1


class Failure(Exception):  # noqa: N818 (it is an answer, and reads so where it is raised)
    """A request that is answered with an error.

    Attributes:
        status: The HTTP status.
        error_type: What Hugging Face's clients turn into an exception class; in lower case.
    """

    status = 500
    error_type: str | None = None

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status or type(self).status

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer, besides those that every answer has."""
        return {"retry-after": str(RETRY_AFTER_S)} if self.status in (429, 503) else {}


class Invalid(Failure):
    """The caller's mistake: a body, input or parameter that cannot be answered (400, or 413 for its size)."""

    status = 400
    error_type = "validation"


class Unknown(Failure):
    """No such model or route."""

    status = 404


class ModelFailed(Failure):
    """The model raised something, or could not be loaded."""

    status = 500
    error_type = "generation"


class NotReady(Failure):
    """The model is being loaded, or the servers are starting or stopping: the same request will do later."""

    status = 503


class Died(NotReady):
    """The model's process has died with the request, or before it came to it."""


class NoRoom(Failure):
    """There is too little shared memory for the request or its answer: a smaller one, or a later one, will do."""

    status = 503
    error_type = "overloaded"


class Overloaded(Failure):
    """More requests than the model's queue holds."""

    status = 429
    error_type = "overloaded"


class TimedOut(Failure):
    """The request waited in the queue for longer than it may."""

    status = 504


class TooSlow(Invalid):
    """The caller takes longer to send a request than others should wait for."""

    status = 408

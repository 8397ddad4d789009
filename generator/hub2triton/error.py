"""The errors a user of the commands can cause, each with the exit code of its kind.

A message is one paragraph: what is wrong, then what to try next. Commands print it and exit; they never
show a traceback for one of these.
"""

from typing import ClassVar


class Hub2TritonError(Exception):
    """Base of every error that a command reports in words."""

    exit_code: ClassVar[int] = 1


class UsageError(Hub2TritonError):
    """The options do not make sense, alone or together, or would overwrite something of the user's."""

    exit_code = 2


class HubError(Hub2TritonError):
    """The Hub does not give the model: absent, gated, no token, unreachable, or not cached while offline."""

    exit_code = 3


class TaskMismatchError(Hub2TritonError):
    """The model's files do not fit the task, or no task can be told from them."""

    exit_code = 4


class ExportError(Hub2TritonError):
    """The model could not be exported, or the export does not give the model's own numbers."""

    exit_code = 5


class ServeError(Hub2TritonError):
    """The servers cannot be started: no tritonserver, a taken port, no model that loads."""

    exit_code = 6

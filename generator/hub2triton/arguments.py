"""How all commands read their arguments."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

_UNKNOWN = "unrecognized arguments: "


def secret(text: str) -> str:
    """The value of a flag for a secret, of which no error tells anything.

    Raises:
        argparse.ArgumentTypeError: It is empty, as where a variable of the shell was not set.
    """
    if not text.strip(" ,"):
        raise argparse.ArgumentTypeError("it is empty; give a key, or leave the flag out")
    return text


class Parser(argparse.ArgumentParser):
    """Takes flags by their whole names, and repeats nothing that stands behind one it does not know.

    argparse would take `--api-key KEY` for the beginning of `--api-key-file KEY`, and print the key where it finds no
    such file. A flag that is misspelt may have a secret behind it as well.
    """

    def __init__(self, **more: Any) -> None:
        """Takes argparse's own arguments."""
        super().__init__(allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """Ends the command with code 2 and words."""
        if message.startswith(_UNKNOWN):
            found = message.removeprefix(_UNKNOWN)
            flags = [word.partition("=")[0] for word in found.split() if word.startswith("-")]
            # `-kVALUE` is a flag of one letter.
            flags = [flag if flag.startswith("--") else flag[:2] for flag in flags]
            message = _UNKNOWN + (" ".join(flags) or found)
        super().error(message)

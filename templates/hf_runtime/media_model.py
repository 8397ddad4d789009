"""The base of models whose rows are files: images or sounds, which take time to decode."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .model import Item, Model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .row import Row


class MediaModel(Model[Item]):
    """A model that reads the rows of a batch side by side, in as many threads as the instance may use.

    The decoders work outside of Python's lock. What a model has to do for one row alone, such as resizing, belongs
    into `read` too: `predict` is then left with what is done best for many rows at once.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's call before the first request."""
        super().initialize(args)
        self._readers = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="read")

    def finalize(self) -> None:
        """Triton's call when the model is unloaded."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def read_each(self, rows: Sequence[Row]) -> list[Item | Exception]:
        """Reads the rows of a batch: an item for each, or what is wrong with that one."""
        return list(self._readers.map(self.attempt, rows))

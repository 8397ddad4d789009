"""Models that answer questions about tables: two kinds of them behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, Unpack

from transformers import AutoConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .table import TableQuestion


class TableOptions(TypedDict, total=False):
    """The parameters of a question about a table.

    Attributes:
        sequential: Whether a question goes on from the answers to those before it; only models that select cells can.
        truncation: Whether a table longer than the model's window is cut, or refused; where it is not given, models
            that select cells drop the last rows, and those that write refuse.
    """

    sequential: bool
    truncation: bool | Literal["do_not_truncate", "drop_rows_to_fit"]


@dataclass(frozen=True)
class TableAnswer:
    """An answer.

    Attributes:
        answer: As text.
        aggregator: What to do with the cells, such as SUM or NONE; empty where the model has no aggregators.
        cells: The selected cells; of a model that writes its answers, the answer itself.
        coordinates: Row and column of each selected cell; none where the model writes.
    """

    answer: str
    aggregator: str
    cells: Sequence[str]
    coordinates: Sequence[tuple[int, int]]


class TableReader(Protocol):
    """A loaded model."""

    def answers(self, questions: Sequence[TableQuestion], **options: Unpack[TableOptions]) -> list[TableAnswer]:
        """One answer a question, from one batch; InvalidInput for a question or table that is too long."""


def load(settings: Settings) -> TableReader:
    """The model of a folder: TAPAS and its kind select cells, sequence-to-sequence models such as TAPEX write."""
    config = AutoConfig.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
    if config.is_encoder_decoder:
        from .table_writer import TableWriter

        return TableWriter(settings)
    from .cell_selector import CellSelector

    return CellSelector(settings)


def cuts(options: TableOptions, *, default: bool) -> bool:
    """Whether a table that is too long is cut."""
    asked = options.get("truncation", default)
    return asked if isinstance(asked, bool) else asked == "drop_rows_to_fit"

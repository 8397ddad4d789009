"""A table of texts, in the JSON forms that callers send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .error import InvalidInput

if TYPE_CHECKING:
    from .row import Row


@dataclass(frozen=True)
class Table:
    """A table with at least one column and one row.

    Attributes:
        header: The columns' names.
        rows: The cells, row by row.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def from_json(cls, value: Any) -> Table:
        """Reads a table by columns, `{"name": ["Ann", "Bob"]}`, or by rows, `[{"name": "Ann"}, {"name": "Bob"}]`.

        Cells become texts: numbers as they are written in JSON, null as an empty cell.

        Raises:
            InvalidInput: No table, an empty one, columns of different lengths, or a cell that is a list or object.
        """
        if isinstance(value, dict):
            return cls._of_columns(value)
        if isinstance(value, list):
            return cls._of_rows(value)
        raise InvalidInput(
            f'the table must be an object of columns such as {{"name": ["Ann", "Bob"]}}, or a list of rows such as '
            f'[{{"name": "Ann"}}, {{"name": "Bob"}}], not {json.dumps(value)[:60]}'
        )

    def first(self, rows: int) -> Table:
        """The table with no more than so many rows."""
        return Table(self.header, self.rows[:rows])

    @classmethod
    def _of_columns(cls, columns: dict[str, Any]) -> Table:
        for name, column in columns.items():
            if not isinstance(column, list):
                raise InvalidInput(
                    f"the table's column {name!r} must be a list of cells, not {json.dumps(column)[:60]}"
                )
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name!r} has {length}" for name, length in list(lengths.items())[:8])
            raise InvalidInput(f"the table's columns must be equally long, but {told}")
        if not any(lengths.values()):
            raise InvalidInput("the table is empty; send at least one column with one cell")
        cells = [[_cell(value, name) for value in column] for name, column in columns.items()]
        return cls(tuple(columns), tuple(zip(*cells, strict=True)))

    @classmethod
    def _of_rows(cls, rows: list[Any]) -> Table:
        if not rows or rows[0] == {}:
            raise InvalidInput("the table is empty; send at least one row with one cell")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InvalidInput(f"row {index} of the table must be an object, not {json.dumps(row)[:60]}")
            if row.keys() != rows[0].keys():
                raise InvalidInput(
                    f"the table's rows must have the same columns, but row {index} has {sorted(row)[:8]} and row 0 has "
                    f"{sorted(rows[0])[:8]}"
                )
        header = tuple(rows[0])
        return cls(header, tuple(tuple(_cell(row[name], name) for name in header) for row in rows))


@dataclass(frozen=True)
class TableQuestion:
    """A query about a table.

    Attributes:
        earlier: The queries that came before it in a conversation about the same table, the first one first.
    """

    query: str
    table: Table
    earlier: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, row: Row) -> TableQuestion:
        """Reads the tensors `query` and `table_json`.

        Instead of a table, the JSON may hold `{"table": …, "earlier_queries": […]}`.

        Raises:
            InvalidInput: An empty query, or what is no table.
        """
        query, value = row.text("query"), row.json("table_json")
        earlier: Any = []
        if isinstance(value, dict) and value.keys() == {"table", "earlier_queries"}:
            value, earlier = value["table"], value["earlier_queries"]
        if not isinstance(earlier, list) or not all(isinstance(text, str) for text in earlier):
            raise InvalidInput("earlier_queries must be a list of strings")
        if not all(text.strip() for text in (query, *earlier)):
            raise InvalidInput("the query is empty; ask something about the table")
        return cls(query, Table.from_json(value), tuple(earlier))

    def __len__(self) -> int:
        return len(self.query) + sum(len(cell) for row in self.table.rows for cell in row)


def _cell(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        raise InvalidInput(f"a cell of the table's column {column!r} must be a string, not {json.dumps(value)[:60]}")
    return "" if value is None else json.dumps(value)

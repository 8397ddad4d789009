"""TAPAS and its kind: models that select cells of a table, and say how to aggregate them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from .batch import CHARACTERS_PER_TOKEN, in_sub_batches
from .error import InvalidInput
from .table import TableQuestion
from .table_reader import TableAnswer, TableOptions, cuts
from .torch_text_model import TorchTextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .table import Table

COLUMN, ROW, PREVIOUS, RANK, INVERSE_RANK = 1, 2, 3, 4, 5
"""Places in a token's seven types: its column and row, from 1; whether its cell was the answer before; its number's
rank in the column."""

TOO_LONG = ("Could not encode the query and table header", "Too many rows")
"""How the errors of TapasTokenizer begin that its callers can do something about."""

Selected = set[tuple[int, int]]
"""Rows and columns of cells."""


class CellSelector(TorchTextModel):
    """The model of a folder."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForTableQuestionAnswering")
        self._sub_batch = settings.cut
        names = getattr(self.config, "aggregation_labels", None) or {}
        self.aggregators = {int(index): name for index, name in names.items()}
        # These count from 1 in their tables of embeddings; a column has as many ranks of numbers as rows, at most.
        sizes = self.config.type_vocab_sizes
        self.max_columns = sizes[COLUMN] - 1
        self.max_rows = min(sizes[kind] for kind in (ROW, RANK, INVERSE_RANK)) - 1

    def answers(self, questions: Sequence[TableQuestion], **options: Unpack[TableOptions]) -> list[TableAnswer]:
        """One answer a question, selected for all of them together.

        In a conversation (`sequential`) the earlier questions are answered first, each once.

        Raises:
            InvalidInput: A query and header longer than the window, or a whole table while `truncation` is off.
        """
        select = partial(self._select, cut=cuts(options, default=True))
        if not options.get("sequential", False):
            return [answer for answer, _ in select([(question, None) for question in questions])]
        found: dict[TableQuestion, tuple[TableAnswer, Selected]] = {}
        turns = {turn: None for question in questions for turn in _turns(question)}
        for number in range(max(len(turn.earlier) for turn in turns) + 1):
            now = [turn for turn in turns if len(turn.earlier) == number]
            asked = [(turn, found[_before(turn)][1] if turn.earlier else None) for turn in now]
            answers = in_sub_batches(
                asked, select, length=lambda turn: len(turn[0]) / CHARACTERS_PER_TOKEN, cut=self._sub_batch
            )
            found.update(zip(now, answers, strict=True))
        return [found[question][0] for question in questions]

    def _select(
        self, asked: Sequence[tuple[TableQuestion, Selected | None]], *, cut: bool
    ) -> list[tuple[TableAnswer, Selected]]:
        """Answers one batch of questions, each with the cells that were the answer to the one before it.

        Returns:
            With each answer, the cells that the next question goes on from.
        """
        rows = [self._encoded(question, before, cut=cut) for question, before in asked]
        encoded = self.padded(rows)
        output = self.forward(encoded)
        logits = output.logits.float().cpu()
        aggregation = output.logits_aggregation.float().cpu() if self.aggregators else None
        answers = []
        for index, (question, _) in enumerate(asked):
            own = slice(index, index + 1)  # by itself: of several rows, one without any cell would be left out
            coordinates, *aggregators = self.tokenizer.convert_logits_to_predictions(
                {name: tensor[own] for name, tensor in encoded.items()},
                logits[own].clone(),  # which it clips
                None if aggregation is None else aggregation[own],
            )
            answer = self._answer(
                question.table, coordinates[0] if coordinates else [], int(aggregators[0][0]) if aggregators else None
            )
            likely = _likely(encoded["token_type_ids"][index].numpy(), logits[index].sigmoid().numpy())
            answers.append((answer, likely))
        return answers

    def _answer(self, table: Table, coordinates: Sequence[tuple[int, int]], aggregator: int | None) -> TableAnswer:
        cells = [table.rows[row][column] for row, column in coordinates]
        name = "" if aggregator is None else self.aggregators[aggregator]
        plain = aggregator is None or aggregator == self.config.no_aggregation_label_index
        answer = ", ".join(cells)
        return TableAnswer(answer if plain else f"{name} > {answer}", name, cells, coordinates)

    def _encoded(self, question: TableQuestion, before: Selected | None, *, cut: bool) -> dict[str, Any]:
        """The tokens of a question and its table, without padding: `input_ids` and what else the model reads."""
        table = self._fitting(question.table, cut=cut)
        frame = pd.DataFrame(table.rows, columns=pd.Index(table.header), dtype=object)
        try:
            encoded: dict[str, Any] = self.tokenizer(
                frame,
                question.query,
                truncation="drop_rows_to_fit" if cut else False,
                max_length=self.window,
                padding=False,
            )
        except ValueError as error:
            if not str(error).startswith(TOO_LONG):
                raise
            raise InvalidInput(_too_long(self.window, cut=cut)) from error
        if len(encoded["input_ids"]) > self.window:
            raise InvalidInput(_too_long(self.window, cut=cut))
        if before is not None:
            for types in encoded["token_type_ids"]:
                types[PREVIOUS] = int((types[ROW] - 1, types[COLUMN] - 1) in before)
        return dict(encoded)

    def _fitting(self, table: Table, *, cut: bool) -> Table:
        """A table without the rows behind the last one that the model can number."""
        if len(table.header) > self.max_columns:
            raise InvalidInput(
                f"the table has {len(table.header)} columns, but this model takes {self.max_columns}; leave some out"
            )
        if len(table.rows) > self.max_rows and not cut:
            raise InvalidInput(_too_long(self.window, cut=cut))
        return table.first(self.max_rows)


def _likely(types: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> Selected:
    """The cells whose tokens are more likely than not, on average: what a conversation goes on from."""
    cells: dict[tuple[int, int], list[float]] = {}
    for (row, column), probability in zip(types[:, [ROW, COLUMN]].tolist(), probabilities.tolist(), strict=True):
        if row and column:
            cells.setdefault((row - 1, column - 1), []).append(probability)
    return {cell for cell, found in cells.items() if np.mean(found) > 0.5}  # noqa: PLR2004 (the more likely half)


def _turns(question: TableQuestion) -> list[TableQuestion]:
    """The questions of a conversation up to this one."""
    queries = (*question.earlier, question.query)
    return [TableQuestion(query, question.table, queries[:index]) for index, query in enumerate(queries)]


def _before(question: TableQuestion) -> TableQuestion:
    return TableQuestion(question.earlier[-1], question.table, question.earlier[:-1])


def _too_long(window: int, *, cut: bool) -> str:
    if cut:
        return f"the query and the table's header do not fit into this model's {window} tokens; shorten them"
    return f"the query and its table have more than this model's {window} tokens; send fewer rows, or set truncation"

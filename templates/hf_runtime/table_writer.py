"""TAPEX and its kind: sequence-to-sequence models that read a table as text and write the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from .error import InvalidInput
from .generation import GenerateOptions, generate
from .table_reader import TableAnswer, TableOptions, cuts
from .torch_text_model import TorchTextModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings
    from .table import Table, TableQuestion

MAX_NEW_TOKENS = 256
"""What the pipeline of transformers generates at most, where the model's generation_config says nothing."""


class TableWriter(TorchTextModel):
    """The model of a folder; transformers 5 has no TapexTokenizer, so its way to write a table as text is here."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForSeq2SeqLM")
        written: dict[str, Any] = self.tokenizer.init_kwargs  # what tokenizer_config.json says for TapexTokenizer
        self.lower_case = bool(written.get("do_lower_case", True))
        self.max_cell_length = int(written.get("max_cell_length", 15))
        config = self.model.generation_config
        limited = config.max_length is not None or config.max_new_tokens is not None
        self.generate_options: GenerateOptions = {} if limited else {"max_new_tokens": MAX_NEW_TOKENS}

    def answers(self, questions: Sequence[TableQuestion], **options: Unpack[TableOptions]) -> list[TableAnswer]:
        """One answer a question, generated for all of them together.

        Raises:
            InvalidInput: A table longer than the window while `truncation` is off, as it is by default.
        """
        texts = [self.as_text(question.query, question.table) for question in questions]
        if not cuts(options, default=False):
            self._refuse_long_tables(texts)
        encoded = self.encode(texts)
        inputs = {name: encoded[name].to(self.device) for name in ("input_ids", "attention_mask")}
        ids = generate(self.model, self.tokenizer, inputs, self.generate_options)
        written = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [TableAnswer(answer=text, aggregator="", cells=[text], coordinates=[]) for text in written]

    def as_text(self, query: str, table: Table) -> str:
        """`query col : a | b row 1 : x | y row 2 : …`, each cell cut at the tokens the model was trained with."""
        rows = [" | ".join(self._cut(cell) for cell in row) for row in table.rows]
        lines = ["col : " + " | ".join(table.header), *(f"row {index} : {row}" for index, row in enumerate(rows, 1))]
        text = f"{query} {' '.join(lines).strip()}"
        return text.lower() if self.lower_case else text

    def _cut(self, cell: str) -> str:
        tokens = self.tokenizer.tokenize(cell)
        if len(tokens) < self.max_cell_length:
            return cell
        return str(self.tokenizer.convert_tokens_to_string(tokens[: self.max_cell_length]))

    def _refuse_long_tables(self, texts: Sequence[str]) -> None:
        for text in texts:
            tokens = len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])
            if tokens > self.window:
                raise InvalidInput(
                    f"the query and its table have {tokens} tokens, but this model takes {self.window}; send fewer "
                    "rows, or set truncation to true"
                )

"""A model that answers questions with a part of a text, however long the text is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from .answer_spans import AnswerSpans, Span
from .error import InvalidInput
from .text_model import TextModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from .answer_spans import Encoding
    from .settings import Settings

MAX_SEQ_LEN = 384
"""Tokens in a window where neither the caller nor the model wants fewer."""

MAX_WINDOWS = 2048
"""Windows that one context may be cut into; the default ones cover about two million English characters."""

LEAST = {"top_k": 1, "doc_stride": 0, "max_answer_len": 1, "max_seq_len": 1, "max_question_len": 1}


class AnswerOptions(TypedDict, total=False):
    """The parameters of a question.

    Attributes:
        top_k: Answers to give, at most; 1 where it is not given.
        doc_stride: Tokens that two windows share; where it is not given, 128 or half a window.
        max_answer_len: Tokens in an answer, at most; 15 where it is not given.
        max_seq_len: Tokens in a window, question and special tokens included; 384 or the model's own window.
        max_question_len: Tokens of the question that are read; 64 where it is not given.
        handle_impossible_answer: Whether the empty answer may be the best.
        align_to_words: Whether answers are whole words, which is the default.
    """

    top_k: int
    doc_stride: int
    max_answer_len: int
    max_seq_len: int
    max_question_len: int
    handle_impossible_answer: bool
    align_to_words: bool


@dataclass(frozen=True)
class Question:
    """A question and the context that answers it; InvalidInput where one is empty."""

    question: str
    context: str

    def __post_init__(self) -> None:
        for name in ("question", "context"):
            if not getattr(self, name).strip():
                raise InvalidInput(f"the {name} is empty; send a question, and a context to find its answer in")

    def __len__(self) -> int:
        return len(self.question) + len(self.context)


class QuestionReader(TextModel):
    """The extractive model of a folder, and what transformers' pipeline of this task did until it was removed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForQuestionAnswering")
        self.batch_size = settings.sub_batch_size
        if not self.tokenizer.is_fast:
            raise ValueError(
                f"{type(self.tokenizer).__name__} does not tell where in a text its tokens are; question-answering "
                "needs a fast tokenizer (tokenizer.json)"
            )

    def answers(self, questions: Sequence[Question], **options: Unpack[AnswerOptions]) -> list[list[Span]]:
        """The best answers to each question.

        The windows of all contexts go through the model together, in batches of a bounded size.

        Raises:
            InvalidInput: A parameter out of its range, a question that fills the window, or too many windows.
        """
        self._check(options)
        top_k, words = options.get("top_k", 1), options.get("align_to_words", True)
        rows = [
            AnswerSpans(
                question.context,
                self.tokenizer.cls_token_id,
                longest=options.get("max_answer_len", 15),
                candidates=top_k * 2 + 10 if words else top_k,  # some become equal when they are made whole words
                words=words,
            )
            for question in questions
        ]
        windows = (
            (row, window)  # cut when they are needed: those of one context at a time are in memory
            for row, asked in zip(rows, questions, strict=True)
            for window in self._cut(asked, options)
        )
        while batch := list(islice(windows, self.batch_size)):
            for (row, window), logits in zip(batch, self._logits([window for _, window in batch]), strict=True):
                row.add(window, *logits)
        return [row.best(top_k, or_none=options.get("handle_impossible_answer", False)) for row in rows]

    def _check(self, options: AnswerOptions) -> None:
        given: dict[str, Any] = dict(options)
        for name, least in LEAST.items():
            if given.get(name, least) < least:
                raise InvalidInput(f"parameter {name!r} must be at least {least}, not {given[name]}")
        if given.get("max_seq_len", 1) > self.window:
            raise InvalidInput(f"parameter 'max_seq_len' must be at most this model's window of {self.window} tokens")
        if given.get("doc_stride", 0) > self._window(options):
            raise InvalidInput(
                f"parameter 'doc_stride' ({given['doc_stride']}) is larger than max_seq_len ({self._window(options)})"
            )

    def _window(self, options: AnswerOptions) -> int:
        return options.get("max_seq_len", min(self.window, MAX_SEQ_LEN))

    def _cut(self, asked: Question, options: AnswerOptions) -> Iterator[Encoding]:
        """The windows of a context, each with the question in front."""
        question, tokens = self._shortened(asked.question, options.get("max_question_len", 64))
        size = self._window(options)
        room = size - self.tokenizer.num_special_tokens_to_add(pair=True) - tokens
        if room < 1:
            raise InvalidInput(
                f"the question's {tokens} tokens leave no room for the context in a window of {size} tokens; "
                "shorten it, lower max_question_len or raise max_seq_len"
            )
        # The tokenizer's Rust code panics, beyond any `except Exception`, where a window would not get ahead.
        stride = min(options.get("doc_stride", min(size // 2, 128)), room - 1)
        self._bound(asked.context, room - stride)
        encoded = self.tokenizer(
            question,
            asked.context,
            truncation="only_second",
            max_length=size,
            stride=stride,
            return_overflowing_tokens=True,
        )
        yield from encoded.encodings

    def _shortened(self, question: str, limit: int) -> tuple[str, int]:
        """A question cut behind so many tokens, and the number of tokens it then has."""
        encoded = self._tokens(question)
        if len(encoded.ids) > limit:
            question = question[: encoded.offsets[limit - 1][1]]
            encoded = self._tokens(question)
        return question, len(encoded.ids)

    def _tokens(self, text: str) -> Encoding:
        encoded = self.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        return encoded.encodings[0]

    def _bound(self, context: str, step: int) -> None:
        """Refuses a context of too many windows, since all of them are in memory at once."""
        if len(context) > MAX_WINDOWS * step:  # else it is not worth tokenizing it twice
            windows = len(self._tokens(context).ids) // step
            if windows > MAX_WINDOWS:
                raise InvalidInput(
                    f"the context would be read in {windows:,} windows; the limit is {MAX_WINDOWS:,}: "
                    "send it in parts, lower doc_stride or raise max_seq_len"
                )

    def _logits(self, windows: Sequence[Encoding]) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """The logits of each window's tokens to begin and to end an answer, both of shape [tokens]."""
        output = self.run(
            [
                {"input_ids": window.ids, "token_type_ids": window.type_ids, "attention_mask": window.attention_mask}
                for window in windows
            ]
        )
        logits = (output["start_logits"], output["end_logits"])
        return [(start[: len(window)], end[: len(window)]) for window, start, end in zip(windows, *logits, strict=True)]

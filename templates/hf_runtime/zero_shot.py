"""Labels that a model never saw: an NLI model says of each whether a text entails it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .batch import CHARACTERS_PER_TOKEN, in_sub_batches
from .error import InvalidInput
from .label_scores import softmax
from .sequence_classifier import SequenceClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .row import Row
    from .settings import Settings

    Array = np.ndarray[Any, Any]


Truncation = bool | Literal["do_not_truncate", "only_first"]
"""Whether a text that is too long is cut; its label never is."""

WHOLE = (False, "do_not_truncate")


@dataclass(frozen=True)
class Question:
    """A text, and the labels to choose from."""

    text: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Question:
        """The inputs `text` and `candidate_labels` of a row.

        Raises:
            InvalidInput: No text, or no label.
        """
        question = cls(row.text("text"), tuple(row.texts("candidate_labels")))
        if not question.text:
            raise InvalidInput("the text is empty; send a text to classify")
        if not question.labels:
            raise InvalidInput("candidate_labels is empty; send at least one label to choose from")
        return question

    def __len__(self) -> int:
        return len(self.text) * len(self.labels)


class ZeroShotClassifier(SequenceClassifier):
    """An NLI model.

    Attributes:
        entailment: The index of the label that says that the hypothesis follows from the text.
        contradiction: The index of its opposite, where transformers looks for it.
    """

    def __init__(self, settings: Settings) -> None:
        """Loads it.

        Raises:
            ValueError: None of the model's labels is entailment.
        """
        super().__init__(settings)
        named = self.config.label2id or {label: index for index, label in enumerate(self.labels)}
        found = [index for label, index in named.items() if label.lower().startswith("entail")]
        if not found:
            raise ValueError(
                f"the model does not fit zero-shot-classification: none of its labels ({', '.join(self.labels)}) is "
                "entailment. Choose a model trained on NLI, or name its labels in label2id of config.json"
            )
        self.entailment: int = found[0]
        self.contradiction = -1 if self.entailment == 0 else 0
        self._sub_batch = settings.cut

    def classify(
        self, questions: Sequence[Question], template: str, *, multi_label: bool, truncate: Truncation
    ) -> list[dict[str, Any]]:
        """The labels of each question with their scores, the best first.

        All pairs of a text and a label go through the model in common batches, as many at once as texts do elsewhere.

        Raises:
            InvalidInput: A template without {}, a label that does not fit into the model's window, or a text that does
                not while it must not be cut.
        """
        if "{}" not in template:
            raise InvalidInput(
                f"parameter 'hypothesis_template' must hold {{}} where the label goes, as in "
                f'"This example is {{}}.", not {template!r}'
            )
        hypotheses = {label: template.replace("{}", label) for question in questions for label in question.labels}
        self._check(hypotheses)
        pairs = [(question.text, hypotheses[label]) for question in questions for label in question.labels]
        if truncate in WHOLE:
            self._refuse_long(pairs)
        logits = in_sub_batches(
            pairs,
            self._logits,
            length=lambda pair: (len(pair[0]) + len(pair[1])) / CHARACTERS_PER_TOKEN,
            cut=self._sub_batch,
        )
        answers = []
        for question in questions:
            own, logits = np.stack(logits[: len(question.labels)]), logits[len(question.labels) :]
            scores = self._scores(own, multi_label=multi_label)
            order = scores.argsort()[::-1]
            answers.append({"label": [question.labels[index] for index in order], "score": scores[order]})
        return answers

    def _scores(self, logits: Array, *, multi_label: bool) -> Array:
        """FP32 [candidate labels] out of the logits of their pairs, [candidate labels, labels]."""
        if multi_label or len(logits) == 1:  # each by itself: does it follow, rather than its opposite?
            return softmax(logits[:, [self.contradiction, self.entailment]])[:, 1]
        return softmax(logits[:, self.entailment])

    def _logits(self, pairs: list[tuple[str, str]]) -> list[Array]:
        texts, hypotheses = zip(*pairs, strict=True)
        return list(self.logits(self.tokens(texts, hypotheses, truncation="only_first")))

    def _refuse_long(self, pairs: list[tuple[str, str]]) -> None:
        texts, hypotheses = zip(*pairs, strict=True)
        longest = max(len(tokens["input_ids"]) for tokens in self.tokens(texts, hypotheses, truncation=False))
        if longest > self.window:
            raise InvalidInput(
                f"a text and a label have {longest} tokens, but this model takes {self.window}; shorten them, or leave "
                "truncation on"
            )

    def _check(self, hypotheses: dict[str, str]) -> None:
        """Only the text is cut, so a hypothesis must leave it room."""
        tokens = self.tokens(list(hypotheses.values()), truncation=False, add_special_tokens=False)
        room = self.window - self.tokenizer.num_special_tokens_to_add(pair=True)
        for label, own in zip(hypotheses, tokens, strict=True):
            if len(own["input_ids"]) >= room:
                shown = label if len(label) <= 40 else f"{label[:40]}…"  # noqa: PLR2004 (characters for a message)
                raise InvalidInput(
                    f"candidate label {shown!r} makes a hypothesis of {len(own['input_ids'])} tokens, but this model "
                    f"has room for {room - 1}; shorten it"
                )

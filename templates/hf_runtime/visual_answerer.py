"""A model that answers questions about images: one that chooses among its answers, or one that writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from . import label_scores
from .batch import grouped
from .image_text_model import ImageTextModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from .picture import Picture
    from .settings import Settings
    from .text_model import Tokens
    from .torch_engine import TorchEngine

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class VisualQuestion:
    """An image, and what is asked about it."""

    picture: Picture
    question: str

    def __len__(self) -> int:
        return len(self.picture) + len(self.question)


class VisualAnswerer(ImageTextModel):
    """The model of a folder, with transformers' pipeline for it, which version 5 has no more."""

    engine: TorchEngine  # such models write, or cannot be exported

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "AutoModelForVisualQuestionAnswering")
        self.writes: bool = self.engine.model.can_generate()

    def answer(self, questions: Sequence[VisualQuestion], *, top_k: int, truncate: bool) -> list[dict[str, Any]]:
        """The `answer` texts to each question with a `score` for each, the best first; only one of a model that writes.

        Raises:
            InvalidInput: A question that is too long while it must not be cut, or a `top_k` below 1.
        """
        texts = [question.question for question in questions]
        if not truncate:
            self.refuse_long(texts)
        tokens = self.tokens(texts)
        answers: dict[int, dict[str, Any]] = {}

        def alike(index: int) -> Any:
            # BLIP looks at the padding of a question when it writes, so only questions of equal length go together.
            length = len(tokens[index]["input_ids"]) if self.writes else 0
            return self.alike(questions[index].picture), length

        for group in grouped(range(len(questions)), key=alike):
            pictures = [questions[index].picture for index in group]
            inputs = self._inputs([tokens[index] for index in group], pictures)
            found = self._written(inputs) if self.writes else self._chosen(inputs, top_k)
            answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(questions))]

    def _inputs(self, tokens: Sequence[Tokens], pictures: Sequence[Picture]) -> dict[str, Array]:
        padded = {name: array for name, array in self.pad(tokens).items() if name in self.inputs}
        return {**padded, **self.side_by_side(pictures)}

    def _chosen(self, inputs: Mapping[str, Array], top_k: int) -> list[dict[str, Any]]:
        scores = label_scores.sigmoid(self.engine.run(inputs)["logits"])
        labels = [self.config.id2label[index] for index in range(self.config.num_labels)]
        best = [label_scores.best(labels, row, top_k) for row in scores]
        return [{"answer": row["label"], "score": row["score"]} for row in best]

    @torch.inference_mode()
    def _written(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        model = self.engine.model
        placed = {name: self.engine.placed(torch.from_numpy(array)) for name, array in inputs.items()}
        # BLIP's own `generate` passes over the model's generation_config.
        options = {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
        found = model.generate(**placed, generation_config=model.generation_config, **options)
        texts = self.tokenizer.batch_decode(found.sequences, skip_special_tokens=True)
        scores = torch.exp(self._log_probabilities(found)).tolist()
        return [{"answer": [text.strip()], "score": [score]} for text, score in zip(texts, scores, strict=True)]

    def _log_probabilities(self, found: Any) -> torch.Tensor:
        """How likely the model found each sequence as a whole, the token that ends it included: FP32 [rows]."""
        beams = found.get("beam_indices")
        steps = len(found.logits) if beams is None else beams.shape[1]
        written = found.sequences[:, found.sequences.shape[1] - steps :]
        rows = torch.arange(len(written), device=written.device)
        total = torch.zeros(len(written), device=written.device)
        ended = torch.zeros_like(rows, dtype=torch.bool)
        for step in range(steps):
            origin = rows if beams is None else beams[:, step]
            logits = found.logits[step][origin].float()
            chosen = torch.log_softmax(logits, dim=-1)[rows, written[:, step]]
            total += torch.where(ended, 0.0, chosen)  # nothing counts behind the end
            ended |= written[:, step] == self.config.get_text_config().sep_token_id
        return total

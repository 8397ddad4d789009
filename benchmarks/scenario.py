"""What is measured: a model, what it does, and the load it gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.words import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODELS = Path(__file__).parent / ".models"


@dataclass(frozen=True)
class Scenario:
    """One model under one kind of load.

    Attributes:
        name: On the command line, and of the files of results.
        title: Heads the table.
        task: As generate-repo knows it.
        model: The folder of its weights; see build.WRITERS.
        agreement: What `agree` gives, in words.
        agree: An answer and the one of the library in fp32, as a number that is 1 where they are the same.
        unit: What is counted.
        units: How many of those an answer is.
        texts: How many different texts are sent.
        clients: How many clients there are at once, for each kind of round.
        list_size: Texts in the one large request; 0 for none.
        parameters: Sent with each request, to those that take parameters.
        batches: The batch sizes that the limit is sought with.
    """

    name: str
    title: str
    task: str
    model: str
    agreement: str
    agree: Callable[[Any, Any], float]
    unit: str = "texts"
    units: int = 1
    texts: int = 512
    clients: tuple[int, ...] = (1, 8, 32)
    list_size: int = 512
    parameters: Mapping[str, Any] = field(default_factory=dict)
    batches: tuple[int, ...] = (1, 8, 32)

    @property
    def weights(self) -> Path:
        """The model as the Hub would give it."""
        return MODELS / self.model

    @property
    def with_onnx(self) -> Path:
        """The same, with the file model.onnx that torch's older exporter made."""
        return MODELS / f"{self.model}.onnx"

    @property
    def reference(self) -> Path:
        """JSON: what the library answers to each text, in fp32."""
        return MODELS / f"{self.model}.reference.json"

    def graph(self, precision: str) -> Path:
        """The ONNX file that transformers' exporter made."""
        return MODELS / f"{self.model}.{precision}" / "model.onnx"

    def sent(self) -> list[str]:
        """The texts."""
        return sentences(self.texts)


def cosine(found: list[float], wanted: list[float]) -> float:
    """Of the angle between two vectors."""
    dot = sum(a * b for a, b in zip(found, wanted, strict=True))
    return dot / math.hypot(*found) / math.hypot(*wanted)


def same(found: str, wanted: str) -> float:
    """1 or 0."""
    return float(found == wanted)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="embeddings",
            title="Sentence embeddings: all-MiniLM-L6-v2",
            task="sentence-embeddings",
            model="all-minilm-l6-v2",
            agreement="mean cosine to fp32",
            agree=cosine,
        ),
        Scenario(
            name="text-classification",
            title="Text classification: a DistilBERT of 6 layers, with random weights",
            task="text-classification",
            model="distilbert-random",
            agreement="same label as fp32",
            agree=same,
        ),
        Scenario(
            name="text-generation",
            title="Text generation: a GPT-2 of 12 layers, with random weights; 32 new tokens, greedy",
            task="text-generation",
            model="gpt2-random",
            agreement="same text as fp32",
            agree=same,
            unit="tokens",
            units=32,
            texts=32,
            clients=(1, 8),
            list_size=0,
            parameters={"max_new_tokens": 32, "do_sample": False},
            batches=(1, 8),
        ),
    )
}

"""What a task can do with an exported graph: an ONNX model that needs no torch to be computed."""

from __future__ import annotations

from dataclasses import dataclass

ONNXRUNTIME = "onnxruntime>=1.20  # on a GPU: onnxruntime-gpu in its place"


@dataclass(frozen=True)
class Graph:
    """How a task is served from a graph.

    Attributes:
        requirements: Lines for a requirements file, of what model.py imports beside a graph in place of the library.
        optimum: What optimum calls the task of such a graph.
        heads: Glob patterns of the class names in config.json of models that make graphs; none where any does.
    """

    requirements: tuple[str, ...]
    optimum: str
    heads: tuple[str, ...] = ()


def of_text(optimum: str) -> Graph:
    """The graph of a model that only reads text: its tokenizer's file is all that is needed besides."""
    return Graph((ONNXRUNTIME, "tokenizers>=0.20"), optimum)


def of_sentences(optimum: str) -> Graph:
    """The graph of a sentence-transformers model, behind which other modules may have weights of their own."""
    return Graph((ONNXRUNTIME, "safetensors>=0.4", "tokenizers>=0.20"), optimum)


def of_media(optimum: str, heads: tuple[str, ...] = ()) -> Graph:
    """The graph of a model of images or sounds, whose processor is the library's."""
    return Graph((ONNXRUNTIME, "torch>=2.4", "transformers>=5.0,<6"), optimum, heads)

"""Which of a model's files are needed: a Hub repository often holds the same weights five times."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hub2triton.tasks.spec import Library

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hub2triton.generate.source import SourceFile

OTHER_FRAMEWORKS = re.compile(
    r"(^|/)(onnx|openvino|coreml|gguf|original|\.[^/]*)/|(^|/)openvino_[^/]*$|\.(h5|msgpack|ot|onnx|onnx_data|gguf|tflite|mlmodel|xml|pb|pdf|png|jpe?g|gif|svg|ipynb)$"
)
DOCUMENTS = re.compile(r"(^|/)(README|LICENSE|NOTICE|\.git[a-z]*)[^/]*$|\.md$", re.IGNORECASE)
TRAINING = re.compile(
    r"(^|/)(training_args\.bin|optimizer\.(pt|bin)|scheduler\.pt|rng_state[^/]*|trainer_state\.json|runs/.*|checkpoint-[^/]*/.*)$"
)
GIT = re.compile(r"(^|/)\.git[^/]*(/|$)")

PIPELINE_ROOT = re.compile(r"model_index\.json|[^/]*\.py")
"""What a diffusion pipeline has beside the folders of its components: its index, and code of its own."""

WEIGHTS = re.compile(r"\.(safetensors|bin|pt|pth|ckpt)(\.index(\.[^.]+)?\.json)?$")
SHARD = re.compile(r"-\d{5}-of-\d{5}")
PICKLED = re.compile(r"(^|/)((diffusion_)?pytorch_model|adapter_model)[^/]*\.bin(\.index(\.[^.]+)?\.json)?$")
"""The pickled weights that the libraries open, and their index; other files of that kind are opened by nobody."""


def select(
    files: Iterable[SourceFile], library: Library = Library.TRANSFORMERS, components: Collection[str] = ()
) -> tuple[SourceFile, ...]:
    """The files to serve.

    Args:
        files: All that the model has.
        library: What loads it. Code of the model's own may read any file, so for CUSTOM all are kept but Git's. Of the
            others, documents and what is for other frameworks is left out, and so are pickled weights beside
            safetensors.
        components: For DIFFUSERS: the folders that the pipeline is made of; all, where there are none. Of a component
            that is there in several variants, such as fp16, the one without a name is taken.
    """
    if library is Library.CUSTOM:
        return tuple(file for file in files if not GIT.search(file.path))
    kept = [
        file
        for file in files
        if not (OTHER_FRAMEWORKS.search(file.path) or DOCUMENTS.search(file.path) or TRAINING.search(file.path))
    ]
    if library is Library.DIFFUSERS:
        kept = [file for file in kept if _of_pipeline(file, components)]
    with_safetensors = {_folder(file) for file in kept if file.path.endswith(".safetensors")}
    kept = [file for file in kept if not (_for_torch_alone(file) and _folder(file) in with_safetensors)]
    return tuple(_one_variant(kept) if library is Library.DIFFUSERS else kept)


def is_weights(file: SourceFile) -> bool:
    """Whether a file holds weights for torch, or is their index."""
    return WEIGHTS.search(file.path) is not None


def is_pickled(path: str) -> bool:
    """Whether a file holds weights that can only be read by unpickling, or is the index of such files."""
    return PICKLED.search(path) is not None


def safe_name(path: str) -> str:
    """What the safetensors are called that stand for a file of pickled weights, or for their index."""
    folder, slash, name = path.rpartition("/")
    if name.startswith("pytorch_model"):
        name = name.removeprefix("pytorch_")
    return folder + slash + re.sub(r"\.bin(?=$|\.index)", ".safetensors", name)


def beside_graph(files: Iterable[SourceFile], modules: Collection[str] = ()) -> tuple[SourceFile, ...]:
    """The files of `select` that a model needs besides its graph: all but the weights.

    Args:
        files: As `select` gave them.
        modules: Folders of modules that are no part of the graph, and keep their weights.
    """
    return tuple(file for file in files if not is_weights(file) or _folder(file).as_posix() in modules)


def _of_pipeline(file: SourceFile, components: Collection[str]) -> bool:
    """Whether a file belongs to a diffusion pipeline; at the root there are often all of its weights once more."""
    first, *below = PurePosixPath(file.path).parts
    if not below:
        return PIPELINE_ROOT.fullmatch(first) is not None
    return not components or first in components


def _one_variant(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files without further variants of weights; a folder that has only named ones keeps the first of them."""
    files = list(files)
    variants: dict[PurePosixPath, set[str]] = {}
    for file in files:
        if WEIGHTS.search(file.path):
            variants.setdefault(_folder(file), set()).add(_variant(file))
    return [file for file in files if not WEIGHTS.search(file.path) or _variant(file) == min(variants[_folder(file)])]


def _variant(file: SourceFile) -> str:
    """`fp16` of model.fp16.safetensors, model.fp16-00001-of-00002.safetensors or model.safetensors.index.fp16.json."""
    words = SHARD.sub("", PurePosixPath(file.path).name).split(".")[1:]
    return ".".join(word for word in words if word not in ("safetensors", "bin", "pt", "pth", "ckpt", "index", "json"))


def _folder(file: SourceFile) -> PurePosixPath:
    return PurePosixPath(file.path).parent


def _for_torch_alone(file: SourceFile) -> bool:
    return file.path.endswith((".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"))

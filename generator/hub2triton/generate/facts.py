"""What a model's own small files say: its architecture and the library that made it."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub2triton.error import TaskMismatchError
from hub2triton.tasks.spec import Library

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILES = ("config.json", "modules.json", "config_sentence_transformers.json", "model_index.json", "requirements.txt")
"""The files that `read` looks into; a model has some of them."""


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes:
        architectures: Class names of config.json, such as BertForSequenceClassification, or the one of a diffusion
            pipeline.
        library: The library whose own file is there: modules.json is sentence-transformers', model_index.json that of
            diffusers, config.json that of transformers.
        kind: What sentence-transformers calls the model: SentenceTransformer, CrossEncoder or another.
        labels: The labels of its head as config.json names them.
        own_code: Whether the model comes with classes of its own, about which their names tell nothing.
        components: The folders of a diffusion pipeline that it is made of.
        requirements: The lines of its requirements.txt, which only code of the model's own needs.
        packages: What its configuration needs besides the library that loads it.
        modules: The folders of what a sentence-transformers model does behind its transformer.
    """

    architectures: tuple[str, ...]
    library: Library | None
    kind: str | None = None
    labels: tuple[str, ...] = ()
    own_code: bool = False
    components: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


def read(folder: Path) -> Facts:
    """Reads the files of `FILES` that are in a folder.

    Raises:
        TaskMismatchError: One of them is not JSON of the expected form.
    """
    config = _object(folder / "config.json")
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list):
        raise TaskMismatchError("config.json is damaged: its architectures are no list; save the model anew")
    library = kind = None
    components: tuple[str, ...] = ()
    if (folder / "modules.json").is_file():
        library = Library.SENTENCE_TRANSFORMERS
        # Older versions, which knew but one kind, did not say it.
        kind = str(_object(folder / "config_sentence_transformers.json").get("model_type", "SentenceTransformer"))
    elif (folder / "model_index.json").is_file():
        library = Library.DIFFUSERS
        index = _object(folder / "model_index.json")
        architectures = [index["_class_name"]] if "_class_name" in index else []
        components = tuple(name for name, value in index.items() if isinstance(value, list) and None not in value)
    elif (folder / "config.json").is_file():
        library = Library.TRANSFORMERS
    return Facts(
        architectures=tuple(map(str, architectures)),
        library=library,
        kind=kind,
        labels=_labels(config),
        own_code=bool(config.get("auto_map")),
        components=components,
        requirements=_requirements(folder / "requirements.txt"),
        packages=("timm>=1.0",) if _has_timm_backbone(config) else (),
        modules=_modules(folder / "modules.json"),
    )


def matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any of the names fits any of the glob patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    """Transformers looks labels up in label2id; where that is absent, the labels are those of id2label."""
    by_label, by_number = config.get("label2id"), config.get("id2label")
    if isinstance(by_label, dict) and by_label:
        return tuple(by_label)
    return tuple(map(str, by_number.values())) if isinstance(by_number, dict) else ()


def _has_timm_backbone(config: dict[str, Any]) -> bool:
    """Whether a part of the model, as DETR's ResNet often is, comes from the package timm."""
    backbone = config.get("backbone_config")
    return bool(config.get("use_timm_backbone")) or (
        isinstance(backbone, dict) and backbone.get("model_type") == "timm_backbone"
    )


def _modules(path: Path) -> tuple[str, ...]:
    """The paths in modules.json, of all kinds of modules but the one that holds the model of transformers."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # what is wrong with it is told when the model is loaded
        return ()
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    others = [entry for entry in found if str(entry.get("type", "")).rpartition(".")[2] != "Transformer"]
    return tuple(str(entry["path"]) for entry in others if entry.get("path"))


def _requirements(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return ()
    except (ValueError, OSError) as error:
        raise TaskMismatchError(f"{path.name} of the model cannot be read ({error}); save it anew") from None
    return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise TaskMismatchError(
            f"{path.name} of the model cannot be read ({error}); save or download it anew"
        ) from None
    if not isinstance(value, dict):
        raise TaskMismatchError(f"{path.name} of the model holds no JSON object; save or download it anew")
    return value

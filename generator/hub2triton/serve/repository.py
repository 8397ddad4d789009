"""The model directories of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub2triton import model_config, tasks
from hub2triton.error import ServeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hub2triton.tasks.spec import TaskSpec

CONFIG = "config.pbtxt"


@dataclass(frozen=True)
class ModelDirectory:
    """A folder of the repository that Triton can load as a model."""

    name: str
    path: Path

    @property
    def config(self) -> Path:
        """Its model configuration."""
        return self.path / CONFIG

    @property
    def task(self) -> TaskSpec | None:
        """The task that its configuration names; None for a model that was not made by generate-repo."""
        try:
            config = model_config.parse(self.config.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return None
        return tasks.find(model_config.parameters(config).get("task", ""))


def find_models(repository: Path, names: Sequence[str] = ()) -> tuple[ModelDirectory, ...]:
    """The models of a repository, sorted by name.

    What has no config.pbtxt is ignored, for an editor's or git's folders are no fault of the models.

    Args:
        repository: The folder of model directories.
        names: The models wanted; empty for all.

    Raises:
        UsageError: The repository does not exist, or has no model of one of the names.
        ServeError: The repository holds no model.
    """
    if not repository.is_dir():
        what = "is not a folder" if repository.exists() else "does not exist"
        message = (
            f"The model repository {repository} {what}. Write one first: generate-repo MODEL_ID --output {repository}"
        )
        raise UsageError(message)
    # Hidden folders stay out even with a configuration: they are copies that editors and git keep.
    found = {
        path.name: ModelDirectory(path.name, path)
        for path in sorted(repository.iterdir())
        if not path.name.startswith(".") and (path / CONFIG).is_file()
    }
    if not found:
        hint = ""
        if (repository / CONFIG).is_file():
            hint = f" It looks like a model itself: try its parent, serve-repo {repository.resolve().parent}."
        message = f"The model repository {repository} holds no model (a folder with {CONFIG}).{hint}"
        raise ServeError(f"{message} Run generate-repo MODEL_ID --output {repository} first.")
    unknown = [name for name in names if name not in found]
    if unknown:
        message = f"No model {', '.join(unknown)} in {repository}. There are: {', '.join(found)}."
        raise UsageError(message)
    return tuple(model for name, model in found.items() if not names or name in names)

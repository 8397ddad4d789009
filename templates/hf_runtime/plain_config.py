"""A model's config.json as an object, without transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlainConfig:
    """The values of a configuration by their names, as transformers' own configurations have them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Takes the values.

        Args:
            values: Complete: with the defaults of the model's class.
        """
        self._values = dict(values)
        if "id2label" in self._values:  # JSON's keys are texts
            self._values["id2label"] = {int(index): label for index, label in self._values["id2label"].items()}

    def __getattr__(self, name: str) -> Any:
        """The value of a name; a part that is a configuration of its own as such."""
        if name.startswith("_") or name not in self._values:
            raise AttributeError(name)
        value = self._values[name]
        return PlainConfig(value) if name.endswith("_config") and isinstance(value, dict) else value

    @property
    def num_labels(self) -> int:
        """How many labels the head has."""
        return len(self._values["id2label"])

    def get_text_config(self) -> PlainConfig:
        """The part about texts, of a model that takes other things too; else all of it."""
        return self.text_config if isinstance(self._values.get("text_config"), dict) else self

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hf_runtime import Settings
    from hf_runtime.sentence_encoder import SentenceEncoder
    from hf_runtime.token_encoder import TokenEncoder


class Encoders:
    """The runtime's encoders of the tiny models, each loaded once."""

    def __init__(self, models_dir: Path, home: Path) -> None:
        self._models_dir = models_dir
        self._home = home
        self.of_tokens = functools.cache(self._of_tokens)
        self.of_sentences = functools.cache(self._of_sentences)

    def folder(self, name: str) -> Path:
        """A tiny model as the weights of a model's folder."""
        weights = self._home / name / "1/weights"
        if not weights.exists():
            weights.parent.mkdir(parents=True)
            weights.symlink_to(self._models_dir / name)
        return self._home / name

    def settings(self, folder: Path, dtype: str = "auto") -> Settings:
        """The settings of a model's folder on one thread of a CPU."""
        from hf_runtime import Settings

        return Settings(
            name=folder.name,
            task="",
            model_id="",
            revision="",
            device="cpu",
            dtype=dtype,
            threads=1,
            sub_batch_size=3,
            sub_batch_overhead=10,
            max_text_length=1_000_000,
            trust_remote_code=False,
            inputs=(),
            outputs=(),
            version_dir=folder / "1",
        )

    def _of_tokens(self, name: str) -> TokenEncoder:
        from hf_runtime.token_encoder import TokenEncoder

        return TokenEncoder(self.settings(self.folder(name)))

    def _of_sentences(self, name: str) -> SentenceEncoder:
        from hf_runtime.sentence_encoder import SentenceEncoder

        return SentenceEncoder(self.settings(self.folder(name)))


@pytest.fixture(scope="session")
def encoders(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    return Encoders(models_dir, tmp_path_factory.mktemp("encoders"))

"""An encoder-decoder model that translates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import language
from .seq2seq import Seq2Seq, TextOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .continuation import Continuation
    from .settings import Settings


class TranslateOptions(TextOptions, total=False):
    """The parameters of a request for a translation.

    Attributes:
        src_lang: The texts' language, in the model's own codes, such as eng_Latn for NLLB and en_XX for mBART.
        tgt_lang: The language to translate to.
    """

    src_lang: str
    tgt_lang: str


class Translator(Seq2Seq):
    """The model, and the languages that it knows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.languages = language.of(self.tokenizer, self.config, self.model.generation_config, settings.task)

    def translate(self, texts: Sequence[str], **options: Any) -> list[list[Continuation]]:
        """The translations of one batch of texts, `num_return_sequences` for each; options are `TranslateOptions`.

        Raises:
            InvalidInput: A language that the model does not know or must be told, and what `rewrite` raises.
        """
        direction = self.languages.direction(options.pop("src_lang", None), options.pop("tgt_lang", None))
        if direction.source is not None:
            self.tokenizer.src_lang = direction.source  # rewrites the tokens around every text
        prefix = self.prefix if direction.prefix is None else direction.prefix
        return self.answers(texts, prefix, direction.options, options)

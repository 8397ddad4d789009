"""The languages of a translation, and how each family of models is told them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TASK = re.compile(r"translation_(.+)_to_(.+)")
"""A task's name that says the languages."""

CODE = re.compile(r"[a-z]{2,3}_[A-Za-z]{2,4}")
"""A language as NLLB and mBART write it: eng_Latn, en_XX."""

MARK = re.compile(r">>(.+)<<|<2(.+)>")
"""A target language in front of the text, as Marian (>>fra<<) and MADLAD (<2fr>) want it."""

SHOWN = 3

ENGLISH_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "fi": "Finnish", "fr": "French", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""Languages as T5 is told them: translate English to French."""


@dataclass(frozen=True)
class Direction:
    """How texts of one language become texts of another.

    Attributes:
        prefix: What is put before each text; None where the model's usual one is.
        source: The language that the tokenizer marks the texts with; None where it marks none.
        options: The model's parameters of generation for it.
    """

    prefix: str | None = None
    source: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Languages(Protocol):
    """What a model knows of languages."""

    def direction(self, source: str | None, target: str | None) -> Direction:
        """From one language to another; None is the model's default.

        Raises:
            InvalidInput: A language that the model does not know, or one that it must be told.
        """


class Tokens:
    """A token for each language: NLLB, mBART, M2M100. The target's is forced to be the first of the answer."""

    def __init__(self, ids: Mapping[str, int], source: str | None, target: str | None) -> None:
        """Takes the tokens' ids by language, and the languages of callers who name none."""
        self.ids = ids
        self.spellings = {_folded(code): code for code in ids}
        self.source = None if source is None else self._known(source)
        self.target = None if target is None else self._known(target)

    def direction(self, source: str | None, target: str | None) -> Direction:
        """See `Languages`."""
        languages = {"src_lang": source or self.source, "tgt_lang": target or self.target}
        missing = [name for name, value in languages.items() if value is None]
        if missing:
            raise InvalidInput(
                f"this model translates between {len(self.ids)} languages: send the parameters src_lang and tgt_lang "
                f"({' and '.join(missing)} not given), such as {_some(self.ids)}"
            )
        known = {name: self._known(str(value)) for name, value in languages.items()}
        return Direction(source=known["src_lang"], options={"forced_bos_token_id": self.ids[known["tgt_lang"]]})

    def _known(self, code: str) -> str:
        return _known(code, self.spellings, self.ids)


class Marks:
    """Several target languages, named in front of the text; a text may hold the mark itself."""

    def __init__(self, marks: Mapping[str, str], target: str | None) -> None:
        """Takes the marks by language, and the target of callers who name none."""
        self.marks = marks
        self.spellings = {_folded(code): code for code in marks}
        # A task's name has its own way to write languages, and many models answer well without a mark.
        self.target = self.spellings.get(_folded(target or ""))

    def direction(self, source: str | None, target: str | None) -> Direction:  # noqa: ARG002 (the model sees it)
        """See `Languages`."""
        if target is None:
            return Direction() if self.target is None else Direction(f"{self.marks[self.target]} ")
        return Direction(f"{self.marks[_known(target, self.spellings, self.marks)]} ")


class Sentences:
    """T5: the languages are named in a sentence before the text."""

    def __init__(self, params: Mapping[str, Mapping[str, Any]], source: str | None, target: str | None) -> None:
        """Takes what config.json says of translations, by the task's name, and the languages of the model's task.

        Where the task names none, the first translation of config.json is the default.
        """
        found = {key: TASK.fullmatch(key) for key in params}
        self.pairs = {match.groups(): dict(params[key]) for key, match in found.items() if match}
        if target is None and self.pairs:
            source, target = next(iter(self.pairs))
        self.source, self.target = source, target

    def direction(self, source: str | None, target: str | None) -> Direction:
        """See `Languages`."""
        asked = (source or self.source, target or self.target)
        if asked in self.pairs:
            options = self.pairs[asked]
            prefix = options.get("prefix")
            return Direction(prefix, options={name: value for name, value in options.items() if name != "prefix"})
        names = [ENGLISH_NAMES.get(code or "") for code in asked]
        if None in names:
            if (source, target) == (None, None):  # a model of its own, whose texts come as it wants them
                return Direction()
            told = ", ".join(f"{first} to {second}" for first, second in self.pairs) or "such as en to fr"
            raise InvalidInput(
                f"this model does not translate from {asked[0]!r} to {asked[1]!r}; src_lang and tgt_lang are codes of "
                f"two letters ({told})"
            )
        return Direction(f"translate {names[0]} to {names[1]}: ")


class OnePair:
    """One pair of languages, and nothing to tell the model."""

    def __init__(self, target: str | None) -> None:
        """Takes the target, where it is known."""
        self.target = target

    def direction(self, source: str | None, target: str | None) -> Direction:  # noqa: ARG002 (the model sees it)
        """See `Languages`; a target of another spelling, such as fra or fr_XX for fr, is taken."""
        if target is not None and self.target is not None:
            asked, own = (re.split("[_-]", code.lower())[0] for code in (target, self.target))
            if not (asked.startswith(own) or own.startswith(asked)):
                raise InvalidInput(f"this model translates to {self.target!r} only; leave tgt_lang {target!r} out")
        return Direction()


def of(tokenizer: Any, config: Any, generation_config: Any, task: str) -> Languages:
    """What a model knows of languages.

    Args:
        tokenizer: The model's.
        config: The model's own.
        generation_config: The model's, whose forced first token may be a language.
        task: Its name, which may say the languages of callers who name none: translation_en_to_fr.

    Raises:
        ValueError: The task names languages that the model does not know.
    """
    named = TASK.fullmatch(task)
    source: str | None = named.group(1) if named else None
    target: str | None = named.group(2) if named else None
    ids = _tokens(tokenizer)
    if ids:
        own = tokenizer.init_kwargs
        forced = {number: code for code, number in ids.items()}.get(generation_config.forced_bos_token_id)
        return Tokens(ids, source or own.get("src_lang"), target or own.get("tgt_lang") or forced)
    marks = {next(filter(None, match.groups())): token for token, match in _marks(tokenizer) if match}
    if marks:
        return Marks(marks, target)
    params = getattr(config, "task_specific_params", None) or {}
    if config.model_type == "t5" or any(TASK.fullmatch(key) for key in params):
        return Sentences(params, source, target)
    return OnePair(getattr(tokenizer, "target_lang", None) or target)


def _tokens(tokenizer: Any) -> dict[str, int]:
    """The ids of the languages' tokens by language; none where the tokenizer has no languages."""
    if not hasattr(tokenizer, "src_lang"):
        return {}
    own = getattr(tokenizer, "lang_code_to_id", None)
    if own:
        found = dict(own)
    else:
        codes = [str(token) for token in tokenizer.all_special_tokens if CODE.fullmatch(str(token))]
        found = dict(zip(codes, tokenizer.convert_tokens_to_ids(codes), strict=True))
    return {code: number for code, number in found.items() if number != tokenizer.unk_token_id}


def _marks(tokenizer: Any) -> Iterable[tuple[str, re.Match[str] | None]]:
    return ((token, MARK.fullmatch(token)) for token in tokenizer.get_vocab())


def _known(code: str, spellings: Mapping[str, str], codes: Iterable[str]) -> str:
    found = spellings.get(_folded(code))
    if found is None:
        close = difflib.get_close_matches(_folded(code), list(spellings), n=1)
        close = close or [folded for folded in spellings if folded.startswith(_folded(code))][:1]
        hint = f"; did you mean {spellings[close[0]]!r}?" if close else ""
        raise InvalidInput(
            f"this model does not know the language {code!r}; its codes are such as {_some(codes)}{hint}"
        )
    return found


def _some(codes: Iterable[str]) -> str:
    """A few codes to show their form, English first where it is among them."""
    ordered = sorted(codes, key=lambda code: (not code.startswith("en"), code))
    return ", ".join(repr(code) for code in ordered[:SHOWN])


def _folded(code: str) -> str:
    return code.lower().replace("-", "_")

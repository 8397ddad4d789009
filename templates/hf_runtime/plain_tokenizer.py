"""A tokenizer.json, called as transformers' tokenizers are; needs the package tokenizers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tokenizers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Encoding

STRATEGIES: dict[bool | str, str] = {True: "longest_first"}
STRATEGIES |= {name: name for name in ("longest_first", "only_first", "only_second")}
"""Of what is cut; anything else is: nothing."""

ENDLESS = 10**20
"""What transformers takes for no limit, and more, where a tokenizer has none."""

CLEANER = {
    **{f" {mark}": mark for mark in (".", "?", "!", ",")},
    " ' ": "'",
    **{f" {end}": end for end in ("n't", "'m", "'s", "'ve", "'re")},
}
"""What is written anew where a tokenizer cleans up the spaces of English texts, one after the other."""


class Encoded(dict[str, Any]):
    """Columns by name, each with a value for every text.

    Attributes:
        encodings: What the columns are made of.
    """

    def __init__(self, columns: dict[str, Any], encodings: Sequence[Encoding]) -> None:
        super().__init__(columns)
        self.encodings = list(encodings)

    def word_ids(self, index: int) -> list[int | None]:
        """For every token of a text the word that it is a part of; None for special tokens."""
        found: list[int | None] = self.encodings[index].word_ids
        return found


class PlainTokenizer:
    """The part of transformers' interface that the runtime uses.

    Attributes:
        backend_tokenizer: The one of the package.
        model_max_length: The longest text in tokens; a very large number where there is none.
        model_input_names: What it gives for a model by itself.
        truncation_side: Which end of a text is cut off.
    """

    is_fast = True

    def __init__(
        self,
        path: Path,
        *,
        model_max_length: int,
        model_input_names: list[str],
        truncation_side: str,
        special_tokens: dict[str, str],
        pad_token_type_id: int,
        split_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
    ) -> None:
        """Reads the file.

        Args:
            path: Of tokenizer.json.
            model_max_length: As above.
            model_input_names: As above.
            truncation_side: As above.
            special_tokens: By what they are, such as mask_token.
            pad_token_type_id: The token_type_ids of padding.
            split_special_tokens: Whether a special token that is written in a text is text.
            clean_up_tokenization_spaces: Whether texts of tokens lose the spaces before punctuation.
        """
        self.backend_tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.backend_tokenizer.no_padding()
        self.backend_tokenizer.encode_special_tokens = split_special_tokens
        self.model_max_length = model_max_length
        self.model_input_names = model_input_names
        self.truncation_side = truncation_side
        self.pad_token_type_id = pad_token_type_id
        self._special_tokens = special_tokens
        self._cleaner = CLEANER if clean_up_tokenization_spaces else {}

    def __getattr__(self, name: str) -> Any:
        """A special token such as `mask_token`, or its number by `mask_token_id`; None where there is none."""
        kind = name.removesuffix("_id")
        if not kind.endswith("_token"):
            raise AttributeError(name)
        token = self._special_tokens.get(kind)
        return token if kind == name or token is None else self.backend_tokenizer.token_to_id(token)

    def __call__(
        self,
        texts: str | Sequence[Any],
        pairs: str | Sequence[Any] | None = None,
        *,
        truncation: bool | str = False,
        max_length: int | None = None,
        stride: int = 0,
        add_special_tokens: bool = True,
        is_split_into_words: bool = False,
        return_overflowing_tokens: bool = False,
        return_offsets_mapping: bool = False,
        return_special_tokens_mask: bool = False,
        verbose: bool = True,  # noqa: ARG002 (it never warns)
    ) -> Encoded:
        """Tokenizes texts, or pairs of them; one text gives columns without the dimension of texts.

        Raises:
            Exception: The text that is to be cut is not long enough for that; the package has no class for it.
        """
        single = isinstance(texts, str)
        firsts = [texts] if single else list(texts)
        seconds = None if not pairs else [pairs] if single else list(pairs)
        self._cut(truncation, max_length, stride)
        encodings = self.backend_tokenizer.encode_batch(
            firsts if seconds is None else list(zip(firsts, seconds, strict=True)),
            is_pretokenized=is_split_into_words,
            add_special_tokens=add_special_tokens,
        )
        owners = list(range(len(encodings)))
        if return_overflowing_tokens:
            owners = [index for index, found in enumerate(encodings) for _ in range(1 + len(found.overflowing))]
            encodings = [part for found in encodings for part in (found, *found.overflowing)]
        columns: dict[str, list[Any]] = {
            "input_ids": [found.ids for found in encodings],
            "token_type_ids": [found.type_ids for found in encodings],
            "attention_mask": [found.attention_mask for found in encodings],
        }
        columns = {name: columns[name] for name in columns if name in ("input_ids", *self.model_input_names)}
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [found.special_tokens_mask for found in encodings]
        if return_offsets_mapping:
            columns["offset_mapping"] = [found.offsets for found in encodings]
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = owners
        if single and not return_overflowing_tokens:
            columns = {name: column[0] for name, column in columns.items()}
        return Encoded(columns, encodings)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text has, or a pair."""
        number: int = self.backend_tokenizer.num_special_tokens_to_add(pair)
        return number

    def decode(self, ids: int | Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of tokens."""
        numbers = [ids] if isinstance(ids, int) else [int(number) for number in ids]
        text: str = self.backend_tokenizer.decode(numbers, skip_special_tokens=skip_special_tokens)
        for spaced, clean in self._cleaner.items():
            text = text.replace(spaced, clean)
        return text

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]:
        """The token of each number; None where it has none."""
        return [self.backend_tokenizer.id_to_token(int(number)) for number in ids]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens that are given as the vocabulary has them."""
        decoder = self.backend_tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their numbers."""
        found: dict[str, int] = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        return found

    def _cut(self, truncation: bool | str, max_length: int | None, stride: int) -> None:
        strategy = STRATEGIES.get(truncation)
        size = self.model_max_length if max_length is None else max_length
        if strategy is None or size > ENDLESS:
            self.backend_tokenizer.no_truncation()
        else:
            self.backend_tokenizer.enable_truncation(
                size, stride=stride, strategy=strategy, direction=self.truncation_side
            )

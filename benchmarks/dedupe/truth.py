"""How good a removal is, by what was planted and by exact sets of 4-grams, independently of any contestant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.dedupe.contestants.texts import grams
from benchmarks.dedupe.documents import ORIGINAL, Document

SIMILAR = 0.5


@dataclass(frozen=True)
class Quality:
    """Counts and shares of one removal.

    ``recall`` is the share of planted variants that went or alone stayed of their family, ``recall_of`` the same by
    variant; ``precision`` the share of removed documents that are of the family of the one kept instead or have a
    Jaccard similarity of at least 0.5 to it; ``unlike`` counts those below, of the same family or not.
    """

    removed: int
    recall: float
    precision: float
    unlike: int
    recall_of: dict[str, float]


def judge(made: Sequence[Document], kept_for: Mapping[int, int]) -> Quality:
    """Compare with the truth that ``kept_for`` (removed row to kept row) is the removal of rows of ``made``."""
    staying = Counter(document.family for row, document in enumerate(made) if row not in kept_for)
    planted = [document for document in made if document.variant != ORIGINAL]
    found = [document for document in planted if staying[document.family] <= 1]
    planted_of, found_of = (Counter(document.variant for document in some) for some in (planted, found))
    is_like = {row: jaccard(made[row].text, made[kept].text) >= SIMILAR for row, kept in kept_for.items()}
    right = sum(is_like[row] or made[row].family == made[kept].family for row, kept in kept_for.items())
    return Quality(
        removed=len(kept_for),
        recall=len(found) / max(1, len(planted)),
        precision=right / max(1, len(kept_for)),
        unlike=sum(not like for like in is_like.values()),
        recall_of={variant: found_of[variant] / count for variant, count in planted_of.items()},
    )


def jaccard(first: str, second: str) -> float:
    """Similarity of the sets of 4-grams, 0 to 1; two texts without any are the same."""
    one, other = set(grams(first)), set(grams(second))
    return len(one & other) / len(one | other) if one | other else 1.0

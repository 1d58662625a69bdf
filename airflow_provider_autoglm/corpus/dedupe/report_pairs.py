"""The pairs of a removed and a kept document that tell most about a de-duplication."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.report.documents import Document, document_of
from airflow_provider_autoglm.corpus.report.places import Place, rows_at
from airflow_provider_autoglm.corpus.store import Corpus

EXACT_DUPLICATE = "exact_duplicate"


@dataclass(frozen=True)
class Pair:
    """A removed document and the one kept in its place; ``kept`` is None when an earlier run keeps it."""

    removed: Document
    kept: Document | None
    kept_id: str
    is_exact: bool
    hamming: int
    jaccard: float


@dataclass(frozen=True, order=True)
class Choice:
    """A pair before its texts are read. The first in order tell most: near duplicates, the least similar first.

    Of two the one comes first whose kept text can be shown beside it. ``place`` is that of the removed document.
    """

    is_exact: bool
    is_kept_earlier: bool
    jaccard: float
    doc_id: str
    kept_id: str
    simhash: int
    hamming: int
    place: Place = field(compare=False)


class PairChooser:
    """Keep the ``limit`` choices that tell most, one for each text that is removed for a kept document."""

    columns = ("doc_id", "kept_id", "simhash", "hamming", "jaccard", "reason")

    def __init__(self, limit: int) -> None:
        self.chosen: list[Choice] = []
        self._limit = limit
        self._by_text: dict[tuple[str, int], Choice] = {}

    def offer(self, removed: pa.Table, first: Place, is_kept_here: NDArray[np.bool_]) -> None:
        """Look at removed rows with :attr:`columns`, the first of which lies at ``first``.

        :param is_kept_here: of each row, whether the corpus has the document that is kept in its place.
        """
        rows = np.flatnonzero(self._is_worth_a_look(removed, is_kept_here))
        for number, row in zip(rows.tolist(), removed.take(rows).to_pylist(), strict=True):
            is_exact = row.pop("reason") == EXACT_DUPLICATE
            place = Place(first.shard, first.row + number)
            self._take(Choice(is_exact=is_exact, is_kept_earlier=not is_kept_here[number], place=place, **row))

    def _is_worth_a_look(self, removed: pa.Table, is_kept_here: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows do not come after the last one chosen."""
        if len(self.chosen) < self._limit:
            return np.ones(removed.num_rows, np.bool_)
        last = self.chosen[-1]
        is_exact = np.asarray(pc.equal(removed["reason"], EXACT_DUPLICATE), np.bool_)
        rank, last_rank = 2 * is_exact + ~is_kept_here, 2 * last.is_exact + last.is_kept_earlier
        jaccard = removed["jaccard"].to_numpy()
        is_id_before = np.asarray(pc.less_equal(removed["doc_id"], last.doc_id), np.bool_)
        is_before = (jaccard < last.jaccard) | ((jaccard == last.jaccard) & is_id_before)
        found: NDArray[np.bool_] = (rank < last_rank) | ((rank == last_rank) & is_before)
        return found

    def _take(self, choice: Choice) -> None:
        same = self._by_text.get((choice.kept_id, choice.simhash), choice)
        if same < choice:
            return
        if same is not choice:
            self.chosen.remove(same)
        insort(self.chosen, choice)
        self._by_text[choice.kept_id, choice.simhash] = choice
        if len(self.chosen) > self._limit:
            last = self.chosen.pop()
            del self._by_text[last.kept_id, last.simhash]


def read_pairs(corpus: Corpus, choices: Iterable[Choice], kept_places: Mapping[str, Place]) -> tuple[Pair, ...]:
    """Read the texts of ``choices``; ``kept_places`` are those of the kept documents that the corpus has, by id."""
    return tuple(
        Pair(
            removed=_document(corpus, choice.place),
            kept=_document(corpus, kept_places[choice.kept_id]) if choice.kept_id in kept_places else None,
            kept_id=choice.kept_id,
            is_exact=choice.is_exact,
            hamming=choice.hamming,
            jaccard=choice.jaccard,
        )
        for choice in choices
    )


def _document(corpus: Corpus, place: Place) -> Document:
    return document_of(rows_at(corpus, [place], ["doc_id", "text", "url", "title", "lang", "source"])[place])
